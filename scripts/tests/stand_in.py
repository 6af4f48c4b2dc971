#!/usr/bin/env -S python3 -I -S
"""Stands in for docker, gcloud, helm, kind, kubectl and minikube under their names: writes down how it was called, and
answers as far as scripts look. Variables: RECORD (a file), FAIL_AT (a pattern: a call that it is found in fails), CONTEXT (of
kubectl), CONTENT (of images), THERE (a pattern of what `describe` finds)."""

import os
import re
import shlex
import sys
import time
import zlib


def value(option):
    """What follows an option."""
    return sys.argv[sys.argv.index(option) + 1]


def main():
    call = shlex.join([os.path.basename(sys.argv[0]), *sys.argv[1:]])
    with open(os.environ["RECORD"], "a", encoding="utf-8") as record:
        print(call, file=record)
    if re.search(os.environ.get("FAIL_AT") or "(?!)", call):
        sys.exit("made to fail")
    match call.split():
        case ["docker", "build", *_] if "--iidfile" in call:
            content = value("--file") + os.environ.get("CONTENT", "")
            with open(value("--iidfile"), "w", encoding="utf-8") as file:
                file.write("sha256:" + f"{zlib.crc32(content.encode()):08x}" * 8)
        case ["docker", "save", *_]:
            open(value("--output"), "wb").close()
        case ["gcloud", "config", *_]:
            print("a-project")
        case ["gcloud" | "kubectl", *words] if "describe" in words or "get" in words and "--output" not in words:
            sys.exit(not re.search(os.environ.get("THERE") or "(?!)", call))
        case ["kubectl", "config", "current-context"]:
            context = os.environ.get("CONTEXT") or sys.exit("error: current-context is not set")
            print(context)
        case ["kubectl", *_, ports] if "port-forward" in call:
            here, there = ports.split(":")
            print(f"Forwarding from 127.0.0.1:{here} -> {there}", flush=True)
            time.sleep(600)
        case ["minikube", *words] if "status" in words:
            sys.exit("kind" in os.environ.get("CONTEXT", "") or "production" in os.environ.get("CONTEXT", ""))


if __name__ == "__main__":
    main()
