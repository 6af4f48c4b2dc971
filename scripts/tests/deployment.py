#!/usr/bin/env python3
"""What the scripts around clusters, clouds and releases do, in which order, and where they stop: run with stand-ins for the
programs that they call (stand_in.py), which write down how. Needs neither cluster nor engine.

usage: scripts/tests/deployment.py [NAME...]
"""

import http.server
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
STAND_INS = ["docker", "gcloud", "gke-gcloud-auth-plugin", "helm", "kind", "kubectl", "minikube"]
# All that the scripts may call beside them, so that what this machine has does not matter.
ORDINARY = """bash cargo cat cut date dirname env git grep head id mkdir mktemp nohup openssl paste rm sed sha256sum sleep sort tail tr
    uname""".split()


class Service(http.server.BaseHTTPRequestHandler):
    """As much of a service as sample-requests.py asks for."""

    def answer(self, content, kind="application/json"):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(json.dumps({"hash": "0" * 64}).encode())

    def do_GET(self):
        if self.path == "/apiv1/queue":
            self.answer(b'{"queue": []}')
        else:
            self.answer(b"a stem", "audio/mpeg")

    def log_message(self, *_):
        """Says nothing."""


class Deployment(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.programs = os.path.join(self.folder, "bin")
        os.mkdir(self.programs)
        for name in STAND_INS:
            os.symlink(os.path.join(HERE, "stand_in.py"), os.path.join(self.programs, name))
        for name in ORDINARY:
            os.symlink(shutil.which(name), os.path.join(self.programs, name))
        os.symlink(os.path.realpath(sys.executable), os.path.join(self.programs, "python3"))
        self.record = os.path.join(self.folder, "record")
        self.data = os.path.join(self.folder, "data")
        self.addCleanup(self.end_forwards)

    def forwards(self):
        """The processes that make services reachable."""
        try:
            with open(os.path.join(self.data, "forwards.pid"), encoding="utf-8") as file:
                return [int(line) for line in file]
        except FileNotFoundError:
            return []

    @staticmethod
    def lives(pid):
        """Whether a process still is one, after at most ten seconds to end."""
        give_up_at = time.monotonic() + 10
        while time.monotonic() < give_up_at:
            try:
                with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
                    # One that nobody has asked for its end yet.
                    if stat.read().rsplit(")", 1)[1].split()[0] == "Z":
                        return False
            except FileNotFoundError:
                return False
            time.sleep(0.05)
        return True

    def end_forwards(self):
        for pid in self.forwards():
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                pass

    def run_script(self, *words, repository=REPOSITORY, **variables):
        """Runs a script; gives its outcome, with the calls that it made of stand-ins in `calls`."""
        open(self.record, "w", encoding="utf-8").close()
        # What goes on in the background must not hold a pipe that is waited for.
        with tempfile.TemporaryFile("w+", encoding="utf-8") as out:
            done = subprocess.run(
                words,
                cwd=repository,
                env={"HOME": self.folder, "PATH": self.programs, "RECORD": self.record, **variables},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                timeout=60,
                check=False,
            )
            out.seek(0)
            done.said = out.read()
        with open(self.record, encoding="utf-8") as record:
            done.calls = record.read().splitlines()
        return done

    def copy_of_the_repository(self):
        """A repository of its own, with everything of ours that is small in one commit."""
        copy = os.path.join(self.folder, "repository")
        os.mkdir(copy)
        for name in ["Cargo.toml", "CHANGELOG.md", "deploy-local-dev.sh"]:
            shutil.copy(os.path.join(REPOSITORY, name), copy)
        shutil.copytree(os.path.join(REPOSITORY, "scripts"), os.path.join(copy, "scripts"))
        commit = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "-q", "-m", "all"]
        for command in [["git", "init", "-q"], ["git", "add", "-A"], commit]:
            subprocess.run(command, cwd=copy, check=True)
        return copy

    def assert_order(self, calls, patterns):
        """Each pattern is found in a call, and each after the one before."""
        at = -1
        for pattern in patterns:
            found = [n for n, call in enumerate(calls) if n > at and re.search(pattern, call)]
            self.assertTrue(found, f"no {pattern} after call {at} of\n" + "\n".join(calls))
            at = found[0]


class OnACluster(Deployment):
    STEPS = [
        "kubectl config current-context",
        "docker build .*Dockerfile.rest",
        "docker tag msaas-rest:dev",
        "docker save .*rest",
        "kind load image-archive --name trial .*rest.tar",
        "docker build .*Dockerfile.worker",
        "docker save .*worker",
        "kind load image-archive --name trial .*worker.tar",
        "helm upgrade --install msaas .*values-local.yaml",
        "port-forward svc/redis 6379:6379",
        "port-forward svc/minio 9000:9000",
        "port-forward svc/rest",
    ]

    def setUp(self):
        super().setUp()
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
        self.port = str(server.server_address[1])
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)

    def deploy(self, *options, context="kind-trial", **variables):
        script = ["./deploy-local-dev.sh", "--cluster", "--data", self.data, "--port", self.port]
        script += ["--out", os.path.join(self.folder, "stems"), *options]
        return self.run_script(*script, CONTEXT=context, **variables)

    def test_a_song_is_separated_after_all_steps_in_their_order(self):
        done = self.deploy()
        self.assertEqual(done.returncode, 0, done.said)
        self.assert_order(done.calls, self.STEPS)
        stems = sorted(os.listdir(os.path.join(self.folder, "stems", "short-sample")))
        self.assertEqual(stems, ["bass.mp3", "drums.mp3", "other.mp3", "vocals.mp3"])
        self.assertEqual(len(self.forwards()), 3)

    def test_a_step_that_fails_is_named_and_is_the_last(self):
        for step in self.STEPS[1:]:
            with self.subTest(step):
                done = self.deploy(FAIL_AT=step)
                self.assertEqual(done.returncode, 1, done.said)
                self.assertRegex(done.said.splitlines()[-1], "this failed, and nothing was done after it|cannot be reached")
                self.assertRegex(done.calls[-1], step)

    def test_what_it_installs_is_named_by_its_content(self):
        tags = [re.findall(r"images\.(rest|worker)\.tag=(\S+)", "\n".join(self.deploy(CONTENT=text).calls)) for text in "aab"]
        self.assertEqual([name for name, _ in tags[0]], ["rest", "worker"])
        self.assertEqual(tags[0], tags[1])
        self.assertFalse(set(tags[1]) & set(tags[2]))

    def test_a_second_run_takes_the_place_of_the_first(self):
        self.deploy()
        earlier = self.forwards()
        done = self.deploy()
        self.assertEqual(done.returncode, 0, done.said)
        self.assert_order(done.calls, self.STEPS)
        self.assertEqual(len(self.forwards()), 3)
        self.assertEqual([pid for pid in earlier if self.lives(pid)], [])

    def test_after_a_failure_it_can_be_run_again(self):
        self.assertEqual(self.deploy(FAIL_AT="svc/rest").returncode, 1)
        self.assertEqual(self.deploy().returncode, 0)

    def test_stopping_ends_what_it_started(self):
        self.deploy()
        forwards = self.forwards()
        done = self.deploy("--stop")
        self.assertEqual(done.returncode, 0, done.said)
        self.assertRegex(done.calls[-1], "^helm uninstall msaas")
        self.assertEqual([pid for pid in forwards if self.lives(pid)], [])

    def test_minikube_gets_its_images_its_own_way(self):
        done = self.deploy(context="minikube")
        self.assertEqual(done.returncode, 0, done.said)
        self.assert_order(done.calls, ["minikube --profile minikube image load .*rest.tar", "helm upgrade"])

    def test_a_cluster_that_others_may_use_is_left_alone(self):
        done = self.deploy(context="production")
        self.assertEqual(done.returncode, 1)
        self.assertIn("production, is neither of kind nor of minikube", done.said)
        self.assertNotIn("helm", "".join(done.calls))

    def test_without_a_cluster_it_says_how_to_get_one(self):
        done = self.deploy(context="")
        self.assertEqual(done.returncode, 1)
        self.assertIn("kind create cluster", done.said)

    def test_without_a_program_it_says_which(self):
        for name, context in [("kubectl", "kind-trial"), ("helm", "kind-trial"), ("kind", "kind-trial")]:
            with self.subTest(name):
                os.rename(os.path.join(self.programs, name), os.path.join(self.folder, name))
                done = self.deploy(context=context)
                os.rename(os.path.join(self.folder, name), os.path.join(self.programs, name))
                self.assertEqual(done.returncode, 1)
                self.assertIn(name, done.said.splitlines()[-1])


class OnGoogle(Deployment):
    def gke(self, *options, **variables):
        return self.run_script("./deploy-local-dev.sh", "--gke", *options, **{"VERSION": "1.2.3-abc", **variables})

    @staticmethod
    def commands(printed):
        """The commands that it prints of programs that have stand-ins, also those inside of pipes."""
        text = re.sub(r" >/dev/null 2>&1 \|\||bash .*c '(line=\$\()?|(?<=/dev/stdin)'", "\n", printed)
        parts = [part.strip() for line in text.splitlines() for part in line.split(" | ")]
        return [part for part in parts if part.split(" ")[0] in STAND_INS]

    def test_what_it_prints_is_what_it_runs(self):
        printed = self.gke()
        self.assertEqual(printed.calls, ["gcloud config get-value project"])
        ran = self.gke("--run")
        self.assertEqual(ran.returncode, 0, ran.said)
        told = [shlex.join(shlex.split(command)) for command in self.commands(printed.said)]
        # In any order: the parts of a pipe begin at once. That of the steps is the next test's.
        self.assertEqual(sorted(told), sorted(ran.calls[1:]))
        self.assertGreater(len(told), 12)

    def test_steps_come_in_their_order(self):
        order = ["services enable", "repositories create", "service-accounts create", "projects add-iam-policy-binding .*defaultNodeServiceAccount"]
        order += ["repositories add-iam-policy-binding .*artifactregistry.reader", "configure-docker", "clusters create .*--service-account msaas-nodes@", "node-pools create"]
        order += ["get-credentials", "helm .* keda", "docker build .*rest .*--platform linux/amd64", "docker push .*rest", "docker build .*FEATURES=cuda"]
        order += ["docker push .*worker:1.2.3-abc", "create namespace", "label namespace msaas .*enforce=restricted", "create secret generic msaas-keys", "helm upgrade --install msaas .*images.worker.tag=1.2.3-abc", "helm test"]
        self.assert_order(self.gke("--run").calls, order)

    def test_a_step_that_fails_is_named_and_is_the_last(self):
        for step in ["services enable", "clusters create", "get-credentials", "docker push .*rest", "install msaas"]:
            with self.subTest(step):
                done = self.gke("--run", FAIL_AT=step)
                self.assertEqual(done.returncode, 1)
                self.assertRegex(done.said.splitlines()[-1], "this failed, and nothing was done after it")
                self.assertRegex(done.calls[-1], step)

    def test_a_second_run_rolls_out_and_creates_nothing(self):
        done = self.gke("--run", THERE="describe| get ")
        self.assertEqual(done.returncode, 0, done.said)
        self.assertNotRegex("\n".join(done.calls), " create ")
        self.assert_order(done.calls, ["docker push", "helm upgrade --install msaas"])

    def test_as_many_workers_are_wanted_as_there_may_be_nodes(self):
        calls = "\n".join(self.gke("--run", MAX_NODES="7").calls)
        self.assertRegex(calls, "node-pools create .*--max-nodes 7")
        self.assertRegex(calls, "install msaas .*worker.autoscaling.maxReplicas=7")

    def test_without_a_program_it_says_which(self):
        for name in ["gcloud", "gke-gcloud-auth-plugin", "helm"]:
            with self.subTest(name):
                os.rename(os.path.join(self.programs, name), os.path.join(self.folder, name))
                done = self.gke("--run", PROJECT="a-project")
                os.rename(os.path.join(self.folder, name), os.path.join(self.programs, name))
                self.assertEqual((done.returncode, done.calls), (1, []))
                self.assertIn(name, done.said)

    def test_what_is_in_no_commit_gets_no_version(self):
        repository = self.copy_of_the_repository()
        done = self.gke("--run", repository=repository, VERSION="")
        self.assertEqual(done.returncode, 0, done.said)
        with open(os.path.join(repository, "Cargo.toml"), "a", encoding="utf-8") as file:
            file.write("\n")
        done = self.gke("--run", repository=repository, VERSION="")
        self.assertEqual(done.returncode, 1)
        self.assertIn("changes that are in no commit", done.said)


class ARelease(Deployment):
    def release(self, *words):
        return self.run_script("scripts/release.sh", *words, repository=self.repository)

    def setUp(self):
        super().setUp()
        self.repository = self.copy_of_the_repository()

    def assert_refused(self, done, why):
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(why, done.said)
        self.assertEqual(done.calls, [])

    def test_a_version_that_is_not_the_workspaces_is_refused(self):
        self.assert_refused(self.release("99.0.0"), "the workspace has version")

    def test_a_version_that_the_changelog_does_not_name_is_refused(self):
        with open(os.path.join(REPOSITORY, "Cargo.toml"), encoding="utf-8") as file:
            version = re.search(r'^version = "(.*)"', file.read(), re.M)[1]
        with open(os.path.join(self.repository, "CHANGELOG.md"), "w", encoding="utf-8") as file:
            file.write("# Changelog\n\n## Unreleased\n")
        self.assert_refused(self.release(version), f'CHANGELOG.md has no heading "## {version}"')

    def test_a_tree_with_changes_is_refused(self):
        open(os.path.join(self.repository, "new.rs"), "w", encoding="utf-8").close()
        self.assert_refused(self.release("--dry-run"), "there are changes that are in no commit: ?? new.rs")

    def test_a_chart_of_another_version_is_refused(self):
        chart = os.path.join(self.repository, "helm", "music-separation")
        os.makedirs(chart)
        with open(os.path.join(chart, "Chart.yaml"), "w", encoding="utf-8") as file:
            file.write("version: 99.0.0\nappVersion: 99.0.0\n")
        git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org"]
        for command in [[*git, "add", "-A"], [*git, "commit", "-q", "-m", "a chart"]]:
            subprocess.run(command, cwd=self.repository, check=True)
        self.assert_refused(self.release("--dry-run"), "the chart has another version")

    def test_without_a_version_it_says_how_it_is_used(self):
        self.assert_refused(self.release(), "usage: scripts/release.sh VERSION")


if __name__ == "__main__":
    unittest.main()
