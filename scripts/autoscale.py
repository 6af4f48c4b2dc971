#!/usr/bin/env python3
"""Runs the autoscaler's formula against a queue that was recorded from the service.

    autoscale.py [simulate] [TRACE]              default: scripts/autoscale-trace.json
    autoscale.py record REST ADMIN SONG LOG...   sends a load, prints a trace; part of scripts/record_queue.sh

A trace has every job with when it came and how long each of its tasks took, and what the queue showed each second. The
simulation first replays it with as many workers as there were, and compares; then lets KEDA decide how many there are, as
k8s/ and the chart say: one for each task that waits or is in hand. Fails where the replay is not like what was recorded, or
the formula does not do what docs/capacity.md says of it. Needs nothing but Python.
"""

import http.client
import json
import math
import random
import re
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

TRACE = Path(__file__).resolve().parent / "autoscale-trace.json"
STEP_S = 0.25
ORDER = ("merge", "span", "plan")


@dataclass
class Task:
    job: int
    kind: str
    took_s: float
    ready_at: float


@dataclass
class Pod:
    ready_at: float
    task: Task = None
    began: float = 0.0
    ending: bool = False


@dataclass
class Rules:
    """Those of k8s/overlays/gke/worker-autoscaler.yaml, and what a cluster does by itself."""

    formula: str = "ready + running"
    target: float = 1.0
    most: int = 8
    polling_s: float = 10
    cooldown_s: float = 300
    stabilization_s: float = 300
    sync_s: float = 15
    start_s: float = 60
    # How long a worker that is taken away may go on with its task, and how long a segment takes.
    finish_s: float = 0
    segment_s: float = 1.0


@dataclass
class Outcome:
    waits: list = field(default_factory=list)
    ends: list = field(default_factory=list)
    depth: list = field(default_factory=list)
    replicas: list = field(default_factory=list)
    pod_s: float = 0.0
    hit: int = 0
    again_s: float = 0.0


class Cluster:
    """Workers, a queue as the service's, and perhaps somebody who changes how many workers there are."""

    def __init__(self, jobs, rules=None, workers=0):
        self.jobs, self.rules, self.now = jobs, rules, 0.0
        self.waiting = {kind: [] for kind in ORDER}
        self.left = [len(job["spans"]) for job in jobs]
        self.coming = sorted(range(len(jobs)), key=lambda n: jobs[n]["at"])
        self.pods = [Pod(0.0) for _ in range(workers)]
        self.open, self.out = len(jobs), Outcome(ends=[0.0] * len(jobs))
        self.wanted, self.history, self.active_at = workers, [], -math.inf
        self.polled, self.synced, self.seen = -math.inf, -math.inf, (0, 0)

    def run(self, until_zero):
        while self.open or (until_zero and self.pods):
            while self.coming and self.jobs[self.coming[0]]["at"] <= self.now:
                job = self.coming.pop(0)
                self.wait(job, "plan", self.jobs[job]["plan"])
            for pod in list(self.pods):
                self.move(pod)
            ready = sum(map(len, self.waiting.values()))
            running = sum(pod.task is not None for pod in self.pods)
            if self.rules:
                self.scale(ready, running)
            if self.now % 1 == 0:
                self.out.depth.append((self.now, ready, running))
                self.out.replicas.append((self.now, len(self.pods)))
            self.out.pod_s += STEP_S * len(self.pods)
            self.now += STEP_S
            if self.now > 1e6:
                sys.exit("the songs do not end")
        return self.out

    def wait(self, job, kind, took_s, first=False):
        task = Task(job, kind, took_s, self.now)
        self.waiting[kind].insert(0 if first else len(self.waiting[kind]), task)

    def move(self, pod):
        if pod.task and self.now >= pod.began + pod.task.took_s:
            self.done(pod.task)
            pod.task = None
        if pod.ending and not pod.task:
            self.pods.remove(pod)
        elif not pod.task and self.now >= pod.ready_at:
            for kind in ORDER:
                if self.waiting[kind]:
                    pod.task, pod.began = self.waiting[kind].pop(0), self.now
                    if kind == "plan":
                        self.out.waits.append(self.now - pod.task.ready_at)
                    return

    def done(self, task):
        job = self.jobs[task.job]
        if task.kind == "released":
            return
        if task.kind == "plan":
            for took_s in job["spans"]:
                self.wait(task.job, "span", took_s)
        elif task.kind == "span":
            self.left[task.job] -= 1
            if self.left[task.job] == 0:
                self.wait(task.job, "merge", job["merge"])
        if task.kind == "merge" or not job["spans"]:
            self.open -= 1
            self.out.ends[task.job] = self.now

    def scale(self, ready, running):
        """KEDA from and to 0, the horizontal autoscaler in between."""
        rules = self.rules
        if self.now - self.polled >= rules.polling_s:
            self.polled, self.seen = self.now, (ready, running)
        ready, running = self.seen
        metric = ready + running if rules.formula == "ready + running" else ready
        if metric > 0:
            self.active_at = self.now
        if self.now - self.synced >= rules.sync_s:
            self.synced = self.now
            alive = sum(not pod.ending for pod in self.pods)
            ratio = metric / rules.target / max(alive, 1)
            wanted = alive if abs(ratio - 1) <= 0.1 else math.ceil(metric / rules.target)
            wanted = min(max(wanted, 1), rules.most, max(2 * alive, alive + 4))
            self.history = [(at, n) for at, n in self.history if self.now - at < rules.stabilization_s] + [(self.now, wanted)]
            stable = max(n for _, n in self.history)
            self.wanted = max(wanted, min(stable, alive)) if wanted < alive else wanted
        if self.now - self.active_at >= rules.cooldown_s:
            self.wanted = 0
        elif self.active_at == self.now and self.wanted == 0:
            self.wanted, self.history = 1, []
        self.pods += [Pod(self.now + rules.start_s) for _ in range(self.wanted - sum(not pod.ending for pod in self.pods))]
        alive = [pod for pod in self.pods if not pod.ending]
        # The worst case: those that have worked on their task for longest go first, though idle ones are there.
        for pod in sorted(alive, key=lambda pod: pod.began if pod.task else math.inf)[: len(alive) - self.wanted]:
            self.take_away(pod)

    def take_away(self, pod):
        pod.ending = True
        if not pod.task:
            return
        self.out.hit += 1
        spent = self.now - pod.began
        if pod.task.took_s - spent > self.rules.finish_s:
            # Back at the next segment, at the head of its line, and no attempt is counted.
            self.out.again_s += spent
            self.wait(pod.task.job, pod.task.kind, pod.task.took_s, first=True)
            pod.task = Task(pod.task.job, "released", spent + min(self.rules.segment_s, pod.task.took_s - spent), self.now)


def quantile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(part * len(values)))]


def drained(jobs, out):
    """From the last arrival to the last end."""
    return max(out.ends) - max(job["at"] for job in jobs)


def replay(trace):
    """The recorded workers on the recorded jobs; gives how far the simulation is off, as parts."""
    out = Cluster(trace["jobs"], workers=trace["workers"]).run(False)
    recorded = [ready + running for _, ready, running in trace["depth"]]
    simulated = [ready + running for _, ready, running in out.depth]
    both = range(min(len(recorded), len(simulated)))
    mean = sum(recorded) / len(recorded)
    depth_off = sum(abs(recorded[n] - simulated[n]) for n in both) / len(both) / mean
    # The last job that the record saw end.
    end = trace["ended_s"]
    return out, depth_off, abs(max(out.ends) - end) / end


def day(trace, copies):
    """A minute of nothing, the trace, then, half an hour after its last song, so many of it at once."""
    jobs = [dict(job, at=job["at"] + 60) for job in trace["jobs"]]
    later = max(job["at"] for job in jobs) + 1800
    return jobs + [dict(job, at=job["at"] + later) for job in trace["jobs"] for _ in range(copies)]


def simulate(path):
    trace = json.loads(Path(path).read_text())
    wrong = []
    out, depth_off, end_off = replay(trace)
    work_s = sum(job["plan"] + sum(job["spans"]) + job["merge"] for job in trace["jobs"])
    print(f"recorded: {len(trace['jobs'])} jobs of {sum(job['audio_s'] for job in trace['jobs']):.0f} s of audio in {trace['ended_s']:.0f} s"
          f" by {trace['workers']} workers, {work_s:.0f} s of work")
    print(f"replayed: {max(out.ends):.0f} s; its end is {end_off:.1%} off, its depth {depth_off:.1%} of the mean")
    if depth_off > 0.25 or end_off > 0.1:
        wrong.append("the replay is not like what was recorded")

    jobs = day(trace, 4)
    names = {
        "ready + running": Rules(),
        "ready + running, at once": Rules(stabilization_s=0),
        "ready alone, at once": Rules(formula="ready", stabilization_s=0),
        "the same, may finish": Rules(formula="ready", stabilization_s=0, finish_s=30),
    }
    print(f"\n{'rules':26}{'most':>6}{'worker h':>10}{'wait 50 %':>11}{'95 %':>7}{'drained':>9}{'to 0':>7}{'hit':>5}{'again':>8}")
    results = {}
    for name, rules in names.items():
        out = results[name] = Cluster(jobs, rules).run(True)
        to_zero = out.replicas[-1][0] - max(out.ends)
        print(f"{name:26}{max(n for _, n in out.replicas):6}{out.pod_s / 3600:10.2f}{quantile(out.waits, 0.5):9.0f} s{quantile(out.waits, 0.95):5.0f} s"
              f"{drained(jobs, out):7.0f} s{to_zero:5.0f} s{out.hit:5}{out.again_s:6.0f} s")
    out, rules = results["ready + running"], names["ready + running"]
    counts = [n for _, n in out.replicas]
    at_zero = [at for at, n in out.replicas if n == 0]
    first = max(job["at"] for job in trace["jobs"]) + 60
    checks = {
        "there is no worker before the first song": counts[0] == 0,
        "there is none between the loads": any(first + 300 < at < first + 1800 for at in at_zero),
        "from 0 the first song waits for a look, a start and no longer": out.waits[0] <= rules.polling_s + rules.start_s + 2,
        "busy workers are not taken away": out.hit == 0,
        "at once, few are": 0 < results["ready + running, at once"].hit < results["ready alone, at once"].hit / 4,
        "no song waits longer than the work needs that is before it, on as many workers as there may be":
            drained(jobs, out) <= rules.start_s + 2 * rules.sync_s + rules.polling_s + 5 * work_s / rules.most + 60,
        "the last worker goes a cooldown after the last task": abs(out.replicas[-1][0] - max(out.ends) - rules.cooldown_s) < 30,
        "by the list alone it takes half as long again": drained(jobs, results["ready alone, at once"]) > 1.5 * drained(jobs, out),
        "since what busy workers had in hand is computed again": results["ready alone, at once"].again_s > 60,
        "unless they may finish it": results["the same, may finish"].again_s == 0,
    }
    wrong += [f"not so: {check}" for check, holds in checks.items() if not holds]
    print("\n" + ("\n".join(wrong) or f"{len(checks)} claims hold"))
    return 1 if wrong else 0


def call(address, method, path, body=None):
    connection = http.client.HTTPConnection(address, timeout=60)
    connection.request(method, path, body, {"Content-Type": "audio/wav"})
    return connection.getresponse().read()


def watched(admin, began, depth, stop):
    """What the queue shows, each second."""
    while not stop.wait(max(0.0, began + len(depth) - time.monotonic())):
        text = call(admin, "GET", "/metrics").decode()
        state = lambda name: int(float(re.search(rf'msaas_queue_depth{{state="{name}"}} (\S+)', text)[1]))
        depth.append((len(depth), state("ready"), state("running")))


def record(rest, admin, song, *logs):
    """Sends pieces of a song of 16 bits, two channels: a trickle, then many at once."""
    frames, dice = Path(song).read_bytes(), random.Random(3)
    body, rate = frames[44:], int.from_bytes(frames[24:28], "little")
    plan = [(12.0 * n, 3 + dice.randrange(6)) for n in range(5)] + [(70.0 + n, 3 + dice.randrange(12)) for n in range(13)]
    began, began_unix = time.monotonic(), time.time()
    depth, stop, sent = [], threading.Event(), []
    watch = threading.Thread(target=watched, args=(admin, began, depth, stop))
    watch.start()
    for number, (at, seconds) in enumerate(plan):
        time.sleep(max(0.0, began + at - time.monotonic()))
        # Each one begins elsewhere: the same song would be the same job.
        piece = body[4 * rate * number: 4 * rate * (number + seconds)]
        head = bytearray(frames[:44])
        head[4:8], head[40:44] = (len(piece) + 36).to_bytes(4, "little"), len(piece).to_bytes(4, "little")
        job = json.loads(call(rest, "POST", "/v2/jobs?format=flac", bytes(head) + piece))["id"]
        sent.append({"id": job, "at": round(time.monotonic() - began, 2), "audio_s": seconds, "plan": 0, "spans": [], "merge": 0})
    while any(json.loads(call(rest, "GET", f"/v2/jobs/{job['id']}"))["state"] in ("queued", "running") for job in sent):
        time.sleep(1)
    ended_s = time.monotonic() - began
    stop.set()
    watch.join()
    jobs = {job["id"]: job for job in sent}
    for log in logs:
        took = {}
        for line in map(json.loads, Path(log).read_text().splitlines()):
            if "task" not in line:
                continue
            at = time_of(line["timestamp"])
            if line["message"] == "took a task":
                took[line["task"]] = at
            elif line["message"] == "finished a task":
                job, _, kind, _ = line["task"].rsplit(":", 3)
                seconds = round(at - took[line["task"]], 2)
                if kind == "span":
                    jobs[job]["spans"].append(seconds)
                else:
                    jobs[job][kind] = seconds
    for job in sent:
        del job["id"]
    trace = {"workers": len(logs), "ended_s": round(ended_s, 1), "jobs": sent, "depth": depth}
    print("{\n" + ",\n".join(f'"{key}": ' + (text if not isinstance(value, list) else "[\n" + ",\n".join(map(json.dumps, value)) + "\n]")
                            for key, value in trace.items() for text in [json.dumps(value)]) + "\n}")


def time_of(text):
    from datetime import datetime

    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[:1] == ["record"] and len(arguments) >= 5:
        record(*arguments[1:])
    elif len(arguments) <= 2 and (arguments[:1] in ([], ["simulate"]) or Path(arguments[0]).is_file()):
        sys.exit(simulate(arguments[-1] if arguments and arguments[-1] != "simulate" else TRACE))
    else:
        sys.exit(__doc__)
