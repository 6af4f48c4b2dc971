"""checkov looks at what was rendered. What it finds and we keep has a reason each."""

import json
import pathlib
import subprocess
import tempfile

import yaml

# By its name: which objects keep it, and why.
KEPT = {
    "CKV_K8S_8": (("logs", "test-separate"), "the reader of logs and the test end when they cannot go on"),
    "CKV_K8S_9": (("logs", "test-separate"), "nobody asks them anything"),
    "CKV_K8S_11": (("",), "a limit of processor time slows a pod down while cores idle; memory is limited"),
    "CKV_K8S_15": (("",), "images have versions, which do not change, and a node that has one starts without a registry"),
    "CKV_K8S_21": ((".default.",), "a chart is installed into the namespace that Helm is told"),
    "CKV_K8S_35": (("",), "the programs read passwords from variables; keys of clients and of TLS are files"),
    "CKV_K8S_43": (("rest", "worker", "logs", "weights", "test-separate"), "images of ours have no digest before they are built"),
}


def findings(renders):
    """What checkov says, as the name of the check, its words, the object and what it was rendered from."""
    with tempfile.TemporaryDirectory() as folder:
        for where, objects in renders.all():
            file = pathlib.Path(folder) / f"{where.replace(' ', '-')}.yaml"
            file.write_text(yaml.safe_dump_all(objects), encoding="utf-8")
        command = [renders.home / "checkov/bin/checkov", "--directory", folder, "--framework", "kubernetes", "--output", "json",
                   "--quiet", "--compact", "--skip-download"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        told = json.loads(done.stdout)
    except json.JSONDecodeError:
        raise SystemExit(f"checkov said nothing that can be read: {done.stdout[-500:]}{done.stderr[-500:]}") from None
    for report in told if isinstance(told, list) else [told]:
        for check in report["results"]["failed_checks"]:
            yield check["check_id"], check["check_name"], check["resource"], pathlib.Path(check["file_path"]).stem


def faults(renders):
    found, used = [], set()
    for name, words, thing, where in findings(renders):
        objects, _ = KEPT.get(name, ((), ""))
        if any(part in thing for part in objects):
            used.add(name)
        else:
            found.append(f"{name} {words}: {thing} of {where}")
    return found + [f"the exception {name} is not needed any more" for name in sorted(KEPT.keys() - used)]
