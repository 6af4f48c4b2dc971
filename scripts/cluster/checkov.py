"""checkov looks at what was rendered. What it finds and we keep has a reason each."""

import json
import os
import pathlib
import subprocess
import tempfile

import yaml

KEPT = {
    "CKV_K8S_11": "a limit of processor time slows a pod down while cores idle; memory is limited",
    "CKV_K8S_13": "limits of memory are above requests on purpose",
    "CKV_K8S_15": "images have versions, which do not change",
    "CKV_K8S_21": "the namespace is Helm's to say",
    "CKV_K8S_35": "the programs read passwords from variables; files are for keys",
    "CKV_K8S_40": "65532 is above 10000",
    "CKV_K8S_43": "images of ours have no digest before they are built",
    "CKV2_K8S_6": "policies select by a label that checkov does not follow",
}


def faults(renders):
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for where, objects in renders.all():
            file = pathlib.Path(folder) / f"{where.replace(' ', '-')}.yaml"
            file.write_text(yaml.safe_dump_all(objects), encoding="utf-8")
        command = [renders.home / "checkov/bin/checkov", "--directory", folder, "--framework", "kubernetes", "--output", "json",
                   "--quiet", "--compact", "--skip-download", "--skip-check", ",".join(sorted(KEPT))]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"BC_API_KEY": ""})
        try:
            told = json.loads(done.stdout)
        except json.JSONDecodeError:
            return [f"checkov said nothing that can be read: {done.stdout[-500:]}{done.stderr[-500:]}"]
        for report in told if isinstance(told, list) else [told]:
            for check in report.get("results", {}).get("failed_checks", []):
                found.append(f"{check['check_id']} {check['check_name']}: {check['resource']} of {pathlib.Path(check['file_path']).stem}")
    return found
