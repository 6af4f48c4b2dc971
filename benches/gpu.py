#!/usr/bin/env python3
"""Python's share of `benches/gpu.sh`, which calls it.

    gpu.py torch --weights htdemucs.safetensors --samples song.f32 --wheels wheels
    gpu.py service --msaas msaas --weights htdemucs.safetensors --samples song.f32
    gpu.py table FOLDER [FOLDER...] [--check]

`torch` needs PyTorch and the packages demucs==4.1.0 with julius, einops, numpy, safetensors and tqdm. On a machine without
internet those that are missing there can come as wheels. The first four are the same for every Python (`gpu.sh pack` fetches them);
numpy and safetensors are for one Python each:

    pip download --no-deps --only-binary=:all: --python-version 3.12 --platform manylinux2014_x86_64 -d wheels numpy safetensors
"""

import argparse
import contextlib
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import gpu_service
import gpu_table
import gpu_torch
from gpu_torch import BATCHES, RANKED, say

FACTS = {
    "gpu": "name", "uuid": "uuid", "driver": "driver_version", "memory": "memory.total", "power_limit": "power.limit",
    "clock_sm": "clocks.sm", "clock_sm_most": "clocks.max.sm", "clock_memory": "clocks.mem", "temperature": "temperature.gpu",
    "memory_used": "memory.used",
}  # fmt: skip
"""What the driver is asked of a card."""


def run_machine(arguments: argparse.Namespace) -> None:
    """Subcommand `machine`."""
    facts = {"device": arguments.device, "commit": arguments.commit, "command": arguments.command}
    if shutil.which("nvidia-smi") and arguments.device.startswith("cuda"):
        card = arguments.device.partition(":")[2] or "0"
        this = ["nvidia-smi", f"--id={card}", "--query-gpu=" + ",".join(FACTS.values()), "--format=csv,noheader"]
        with contextlib.suppress(subprocess.SubprocessError):
            done = subprocess.run(this, check=True, capture_output=True, text=True, timeout=20)
            facts |= dict(zip(FACTS, map(str.strip, done.stdout.strip().split(",")), strict=False))
    for name in ("torch", "triton"):
        try:
            facts[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    say(part="machine", **facts, python=sys.version.split()[0])


def run_tests(arguments: argparse.Namespace) -> None:
    """Subcommand `tests`: a line for each unit test of the kernels, on the card."""
    this = [str(arguments.program), "--test-threads", "4", "cuda::"]
    done = subprocess.run(this, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    sys.stderr.write(done.stdout)
    for name, verdict in re.findall(r"^test (\S+)(?: - should panic)? \.\.\. (\w+)$", done.stdout, re.MULTILINE):
        say(test=name, verdict=verdict)
    sys.exit(0 if done.returncode == 0 else f"the unit tests ended with {done.returncode}")


def run_sanitizer(arguments: argparse.Namespace) -> None:
    """Subcommand `sanitizer`: reads and writes of the kernels of a small network."""
    this = ["compute-sanitizer", "--tool", "memcheck", "--error-exitcode", "9", arguments.program, "parity", arguments.device]
    done = subprocess.run([*this, "small", "signal", "1"], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    sys.stderr.write(done.stdout)
    found = re.search(r"ERROR SUMMARY: (\d+) error", done.stdout)
    say(sanitizer_errors=int(found[1]) if found else None)
    sys.exit(0 if done.returncode == 0 else f"the sanitizer ended with {done.returncode}")


def run_torch(arguments: argparse.Namespace) -> None:
    """Subcommand `torch`, with the wheels that are missing."""
    if arguments.wheels and any(arguments.wheels.glob("*.whl")):
        folder = arguments.wheels / "unpacked"
        if not folder.exists():
            wheels = [str(wheel) for wheel in sorted(arguments.wheels.glob("*.whl"))]
            # What is installed by half has another name.
            fresh = Path(tempfile.mkdtemp(dir=arguments.wheels))
            install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(fresh)]
            subprocess.run([*install, *wheels], check=True, stdout=sys.stderr)
            fresh.rename(folder)
        sys.path.insert(0, str(folder))
    gpu_torch.run(arguments)


def main() -> None:
    """Runs one subcommand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    machine = commands.add_parser("machine", help="print a line about this machine")
    machine.add_argument("--device", default="cuda", help="cuda, cuda:N or another word (cuda)")
    machine.add_argument("--commit", default="unknown", help="what is measured")
    machine.add_argument("--command", default="", help="by which command")
    machine.set_defaults(run=run_machine)

    tests = commands.add_parser("tests", help="run unit tests of the kernels on the card")
    tests.add_argument("program", type=Path, help="demucs' unit tests, built with the feature cuda")
    tests.set_defaults(run=run_tests)
    sanitizer = commands.add_parser("sanitizer", help="run a small network below NVIDIA's sanitizer")
    sanitizer.add_argument("program", help="`card`")
    sanitizer.add_argument("device", help="cuda or cuda:N")
    sanitizer.set_defaults(run=run_sanitizer)

    peer = commands.add_parser("torch", help="time PyTorch: one JSON line for each measurement")
    peer.add_argument("--weights", required=True, help="safetensors; or drawn: seeded (as large), small")
    peer.add_argument("--samples", default="signal", help="interleaved floats of two channels (signal)")
    peer.add_argument("--ours", type=Path, help="what ours makes of the first segment, as `card segment` writes it")
    peer.add_argument("--minutes", type=float, default=4.0, help="length of the song (4)")
    peer.add_argument("--seconds", type=float, default=1.0, help="for each measurement of segments (1)")
    peer.add_argument("--batches", type=int, nargs="+", default=BATCHES, help="segments of a batch")
    peer.add_argument("--ranked", type=int, nargs="+", default=RANKED, help="batches by which the ways are ranked")
    peer.add_argument("--least-snr", type=float, default=20.0, help="dB from ours of what computes the same (20)")
    peer.add_argument("--device", default="cuda", help="cuda or cpu (cuda)")
    peer.add_argument("--budget-seconds", type=float, default=540.0, help="for everything (540)")
    peer.add_argument("--compile-seconds", type=float, default=150.0, help="for each compiled network (150)")
    peer.add_argument("--compile", action="store_true", help="torch.compile alone, in the best way that is known without")
    peer.add_argument("--known", type=Path, help="earlier results")
    peer.add_argument("--wheels", type=Path, help="folder of packages that are missing here")
    peer.add_argument("--products", action="store_true", help=argparse.SUPPRESS)
    peer.add_argument("--rank", metavar="PRECISION", help=argparse.SUPPRESS)
    peer.add_argument("--only", nargs=2, metavar=("PRECISION", "MODE"), help=argparse.SUPPRESS)
    peer.set_defaults(run=run_torch)

    service = commands.add_parser("service", help="songs that wait at once, through the whole service")
    service.add_argument("--msaas", required=True, help="program, built for CUDA")
    service.add_argument("--weights", required=True, help="safetensors")
    service.add_argument("--model", default="htdemucs", help="name of the network (htdemucs)")
    service.add_argument("--samples", required=True, help="interleaved floats of two channels, or signal")
    service.add_argument("--songs", type=int, default=100, help="how many (100)")
    service.add_argument("--minutes", type=float, default=4.0, help="length of each (4)")
    service.add_argument("--device", default="cuda", help="of the service (cuda)")
    service.add_argument("--kernels", default="half", help="of the service (half)")
    service.add_argument("--batch", type=int, default=16, help="of the service (16)")
    service.add_argument("--uuid", help="card that is watched")
    service.add_argument("--watch", type=Path, default=Path("watch.csv"), help="what the driver said (watch.csv)")
    service.add_argument("--scratch", type=Path, help="folder for songs and results [default: the system's]")
    service.set_defaults(run=gpu_service.run)

    table = commands.add_parser("table", help="print what the parts of gpu.sh found, and which bars are met")
    table.add_argument("results", type=Path, nargs="+", help="folders or files that they wrote")
    table.add_argument("--price-per-hour", type=float, default=0.0, help="of the machine, for the cost of 1,000 songs")
    table.add_argument("--check", action="store_true", help="exit with 1 where a bar is not met")
    table.set_defaults(run=gpu_table.run)

    best = commands.add_parser("best", help="print precision and batch that ours is fastest with")
    best.add_argument("results", type=Path, nargs="+", help="folders or files")
    best.set_defaults(run=gpu_table.run_best)

    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
