"""Runs all checks of chart and manifests and prints what each of them found. See scripts/cluster-check.sh."""

import pathlib
import sys
import time

import agree
import becomes
import checkov
import policy
import programs
import refusals
import schemas
import wiring
from render import Renders

CHECKS = {
    "both Helms lint the chart and render the same": lambda renders: renders.both_helms_lint_and_agree(),
    "chart and manifests agree": agree.faults,
    f"schemas of Kubernetes {schemas.VERSIONS[0]} to {schemas.VERSIONS[-1]}": schemas.faults,
    f"{len(refusals.CASES)} wrong values are refused by both Helms": refusals.faults,
    f"{len(becomes.CASES)} further values become what they should": becomes.faults,
    "pods are restricted": policy.faults,
    "names and rules of the network fit together": wiring.faults,
    "what the programs' tests read is what is rendered": programs.faults,
}


def main():
    home, options = pathlib.Path(sys.argv[1]), sys.argv[2:]
    renders = Renders(home)
    if "--write" in options:
        programs.write(renders)
    checks = CHECKS | ({"checkov": checkov.faults} if "--policies" in options else {})
    failed = False
    for name, check in checks.items():
        began = time.monotonic()
        found = check(renders)
        print(f"{time.monotonic() - began:5.1f} s  {name}{': FAILED' if found else ''}")
        for line in found:
            print(f"         {line}")
        failed |= bool(found)
    sys.exit(1 if failed else 0)


main()
