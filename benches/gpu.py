#!/usr/bin/env python3
"""PyTorch's side of `benches/gpu.sh`, which calls this, and the table at its end.

    gpu.py torch --weights htdemucs.safetensors --samples song.f32 --wheels wheels
    gpu.py table --results FOLDER

`torch` needs PyTorch and the packages demucs==4.1.0 with julius, einops, numpy, safetensors and tqdm. On a machine without
internet those that are missing there can come as wheels. The first four are the same for every Python:

    pip download --no-deps --only-binary=:all: -d wheels demucs==4.1.0 julius==0.2.8 einops==0.8.2 tqdm

numpy and safetensors are for one Python each: name it (`--python-version 3.12 --platform manylinux2014_x86_64`).
"""

import argparse
import contextlib
import datetime
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BATCHES = [1, 2, 4, 8, 16, 32]
PRECISIONS = ["tf32", "float16", "bfloat16"]
COMPILED = {"graphs": "reduce-overhead", "autotune": "max-autotune-no-cudagraphs"}
"""Modes of `torch.compile`, the one that compiles faster first."""
PARTS = ["floor", "parity", "speed", "kernels", "song", "queue", "torch"]
OVERLAP = 0.25
BAR = 2.0
"""What ours has to be as many times as fast as PyTorch at its best."""
SONG_BATCH = 4
"""Songs are timed from this batch on: smaller ones are slower everywhere."""


def say(**facts: object) -> None:
    """Prints one line of the results."""
    print(json.dumps(facts), flush=True)


# PyTorch -----------------------------------------------------------------------------------------


def load(arguments: argparse.Namespace) -> object:
    """The network on its device, of the weights that are named or drawn."""
    import torch

    sys.path.insert(0, str(ROOT / "scripts"))
    from dump_reference import OFFICIAL_KWARGS, SMALL_KWARGS, checkpoint_network, seeded_network

    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    drawn = {"seeded": OFFICIAL_KWARGS, "small": SMALL_KWARGS}
    name = str(arguments.weights)
    model = seeded_network(drawn[name], 1) if name in drawn else checkpoint_network(arguments.weights)[0]
    return model.to(arguments.device)


class Peer:
    """A network of PyTorch in one precision, as it comes or compiled."""

    def __init__(self, model: object, device: str, precision: str, mode: str) -> None:
        import torch

        self.torch, self.model, self.device, self.precision = torch, model, torch.device(device), precision
        self.frames = int(model.segment * model.samplerate)
        self.network = torch.compile(model, mode=COMPILED[mode], dynamic=False) if mode in COMPILED else model

    def __call__(self, mix: object) -> object:
        """Separates a batch, `[B, 2, N]` to `[B, S, 2, N]` of floats."""
        torch = self.torch
        cast = contextlib.nullcontext()
        if self.precision != "tf32":
            cast = torch.autocast(self.device.type, getattr(torch, self.precision))
        torch.compiler.cudagraph_mark_step_begin()
        with torch.inference_mode(), cast:
            return self.network(mix).float()

    def finish(self) -> None:
        """Waits for the device."""
        if self.device.type == "cuda":
            self.torch.cuda.synchronize()

    def host(self, *shape: int) -> object:
        """Room in memory that a device copies from and to by itself."""
        return self.torch.empty(shape, pin_memory=self.device.type == "cuda")

    def song(self, mixture: object, stems: object, batch: int) -> None:
        """Separates decoded samples into `stems`, both in the host's memory, as demucs' `apply_model` does, but in batches."""
        torch, n = self.torch, self.frames
        with torch.inference_mode():
            mix = mixture.to(self.device, non_blocking=True)
            mono = mix.mean(0)
            mean, deviation = mono.mean(), mono.std() + 1e-8
            length = mix.shape[-1]
            padded = torch.nn.functional.pad((mix - mean) / deviation, (n, n))
            rising = torch.arange(1, n // 2 + 1, device=self.device)
            weight = torch.cat([rising, torch.arange(n - n // 2, 0, -1, device=self.device)])
            weight = weight / weight.max()
            out = torch.zeros(len(self.model.sources), 2, length, device=self.device)
            total = torch.zeros(length, device=self.device)
            offsets = list(range(0, length, int((1 - OVERLAP) * n)))
            for first in range(0, len(offsets), batch):
                group = offsets[first : first + batch]
                # A short segment has as much of the song around it as there is.
                places = [(offset, min(n, length - offset)) for offset in group]
                starts = [n + offset - (n - frames) // 2 for offset, frames in places]
                # A compiled network takes whole batches only.
                starts += [0] * (batch - len(group))
                windows = torch.stack([padded[:, start : start + n] for start in starts])
                for (offset, frames), window in zip(places, self(windows), strict=False):
                    inside = (n - frames) // 2
                    out[..., offset : offset + frames] += weight[:frames] * window[..., inside : inside + frames]
                    total[offset : offset + frames] += weight[:frames]
            stems.copy_(out / total * deviation + mean, non_blocking=True)
        self.finish()


def settled(run: Callable[[], float], seconds: float) -> float:
    """The median of at least three runs, for so many seconds, behind as many that warm the device up."""
    for least in (1, 3):
        times: list[float] = []
        start = time.perf_counter()
        while len(times) < least or time.perf_counter() - start < seconds:
            times.append(run())
    return statistics.median(times)


def samples(arguments: argparse.Namespace, frames: int) -> object:
    """The song, again and again until there are so many: `[2, frames]`."""
    import numpy as np
    import torch

    if str(arguments.samples) == "signal":
        from dump_reference import synthetic_mixture

        return synthetic_mixture(frames)
    song = np.fromfile(arguments.samples, dtype=np.float32).reshape(-1, 2)
    return torch.from_numpy(np.resize(song, (frames, 2)).T.copy())


def measure(peer: Peer, mode: str, batch: int, arguments: argparse.Namespace) -> float:
    """Prints what a segment takes in such a batch, and a song; gives the former."""
    torch = peer.torch
    mix = samples(arguments, peer.frames).to(peer.device).repeat(batch, 1, 1)
    start = time.perf_counter()
    peer(mix)
    peer.finish()
    first_s = time.perf_counter() - start

    def segment() -> float:
        if peer.device.type != "cuda":
            begun = time.perf_counter()
            peer(mix)
            return time.perf_counter() - begun
        begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begun.record()
        peer(mix)
        ended.record()
        ended.synchronize()
        return begun.elapsed_time(ended) / 1000

    took = settled(segment, arguments.seconds) / batch
    facts = {"precision": peer.precision, "mode": mode, "batch": batch, "segment_s": took, "first_s": first_s}
    if batch >= SONG_BATCH or str(arguments.weights) == "small":
        mixture = samples(arguments, round(60 * arguments.minutes * peer.model.samplerate))
        host, stems = peer.host(*mixture.shape), peer.host(len(peer.model.sources), *mixture.shape)
        host.copy_(mixture)

        def song() -> float:
            begun = time.perf_counter()
            peer.song(host, stems, batch)
            return time.perf_counter() - begun

        facts |= {"song_s": settled(song, 0), "audio_s": 60 * arguments.minutes}
    if peer.device.type == "cuda":
        facts["bytes"] = torch.cuda.max_memory_allocated()
    say(**facts)
    return took


def eager(arguments: argparse.Namespace, ends: float) -> tuple[str, int]:
    """Measures the network as it comes; gives the precision and the batch that are the fastest."""
    import torch

    model, taken = load(arguments), {}
    for precision in PRECISIONS:
        for batch in arguments.batches:
            if time.monotonic() > ends:
                say(precision=precision, mode="eager", batch=batch, error="no time left")
                continue
            try:
                if arguments.device.startswith("cuda"):
                    torch.cuda.reset_peak_memory_stats()
                peer = Peer(model, arguments.device, precision, "eager")
                taken[precision, batch] = measure(peer, "eager", batch, arguments)
            except RuntimeError as error:
                say(precision=precision, mode="eager", batch=batch, error=str(error).splitlines()[0][:200])
    del model, peer
    if arguments.device.startswith("cuda"):
        torch.cuda.empty_cache()
    return min(taken, key=taken.get, default=(PRECISIONS[1], 8))


def compiled(arguments: argparse.Namespace, ends: float, best: str, batch: int) -> None:
    """Compiles the network in processes of their own, which can be stopped: what fails or takes too long is a line that says so."""
    wanted = [(best, mode) for mode in COMPILED]
    wanted += [(other, "autotune") for other in PRECISIONS if other != best]
    for precision, mode in wanted:
        left = min(arguments.compile_seconds, ends - time.monotonic())
        this = [sys.executable, __file__, "torch", "--weights", str(arguments.weights), "--samples"]
        this += [str(arguments.samples), "--minutes", str(arguments.minutes), "--seconds", str(arguments.seconds)]
        this += ["--device", arguments.device, "--batches", str(batch), "--only", precision, mode]
        this += ["--wheels", str(arguments.wheels)] if arguments.wheels else []
        facts = {"precision": precision, "mode": mode, "batch": batch}
        if left < 10:
            say(**facts, error="no time left")
            continue
        try:
            done = subprocess.run(this, check=False, capture_output=True, text=True, timeout=left)
        except subprocess.TimeoutExpired:
            say(**facts, error=f"not compiled and measured in {left:.0f} s")
            continue
        if done.returncode:
            say(**facts, error=(done.stderr.strip().splitlines() or ["failed"])[-1][:200])
        else:
            print(done.stdout, end="", flush=True)


def run_torch(arguments: argparse.Namespace) -> None:
    """Subcommand `torch`."""
    ends = time.monotonic() + arguments.budget_seconds
    if arguments.wheels:
        folder = arguments.wheels / "unpacked"
        wheels = [str(wheel) for wheel in sorted(arguments.wheels.glob("*.whl"))]
        if wheels and not folder.exists():
            install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target"]
            subprocess.run([*install, str(folder), *wheels], check=True, stdout=sys.stderr)
        sys.path.insert(0, str(folder))
    if arguments.only:
        precision, mode = arguments.only
        measure(Peer(load(arguments), arguments.device, precision, mode), mode, arguments.batches[0], arguments)
        return
    import torch

    name = torch.cuda.get_device_name() if arguments.device.startswith("cuda") else arguments.device
    say(torch=torch.__version__, device=name)
    best = eager(arguments, ends)
    if not arguments.no_compile:
        compiled(arguments, ends, *best)


# The table ---------------------------------------------------------------------------------------


def parts(path: Path) -> dict[str, list[dict]]:
    """The results of each part, as many as it came to where it failed; the last ones where it ran more than once."""
    found: dict[str, list[dict]] = {name: [] for name in PARTS}
    name = ""
    for line in path.read_text().splitlines() if path.exists() else []:
        with contextlib.suppress(json.JSONDecodeError):
            facts = json.loads(line)
            if "part" in facts:
                name = facts["part"]
                found[name] = []
            elif name:
                found[name].append(facts)
    return found


def least(rows: list[dict], key: str) -> dict:
    """The row with the smallest figure."""
    return min((row for row in rows if row.get(key)), key=lambda row: row[key], default={})


def busy(path: Path, queue: dict) -> list[tuple[float, float]]:
    """Per cent of time that the card was busy, and MiB that it had taken, while the queue was worked at."""
    if not path.exists() or not queue:
        return []
    found = []
    for line in path.read_text().splitlines():
        parts = [part.strip() for part in line.split(",")]
        with contextlib.suppress(ValueError):
            at = datetime.datetime.strptime(parts[0], "%Y/%m/%d %H:%M:%S.%f").timestamp()
            # The first second of what it says is of what was before.
            if queue["begun_unix_s"] + 1 <= at <= queue["ended_unix_s"]:
                found.append((float(parts[1]), float(parts[2])))
    return found


def verdict(good: bool) -> str:
    """Whether a bar is met."""
    return "met" if good else "MISSED"


def print_table(arguments: argparse.Namespace) -> None:
    """Subcommand `table`."""
    part = parts(arguments.results / "results.jsonl")
    rows: list[tuple[str, str, str]] = []

    def row(what: str, value: str, bar: str = "") -> None:
        rows.append((what, value, bar))

    def named(found: dict) -> str:
        return ", ".join(str(found[key]) for key in ("precision", "mode") if key in found) + f", batch {found['batch']}"

    def compare(what: str, ours_s: float, theirs_s: float) -> None:
        ratio = theirs_s / ours_s
        row(what, f"{ratio:.2f}", f"{BAR:g} {verdict(ratio >= BAR)}")

    for found in part["floor"]:
        if "card" in found:
            row("card", found["card"])
        if found.get("copy_bytes_s"):
            row("copy, read and written", f"{found['copy_bytes_s'] / 1e12:.2f} TB/s")
        if found.get("launch_s"):
            row("launch in a recording", f"{found['launch_s'] * 1e6:.2f} us")
        if found.get("product_flop_s"):
            row(f"{found['kernel']}", f"{found['product_flop_s'] / 1e12:.1f} TFLOP/s")
    ours, theirs = part["speed"], part["torch"]
    best, peer = least(ours, "segment_s"), least(theirs, "segment_s")
    floors = {found["precision"]: found["floor_s"] for found in part["floor"] if found.get("floor_s")}
    for precision in ("half", "single"):
        fastest = least([found for found in ours if found["precision"] == precision], "segment_s")
        if fastest:
            row(f"segment, ours, {precision}", f"{fastest['segment_s'] * 1e3:.3f} ms, batch {fastest['batch']}")
            row("  of the card's memory", f"{fastest['bytes'] / 2**30:.2f} GiB")
        if fastest and precision in floors:
            floor = floors[precision]
            row("  floor at these rates", f"{floor * 1e3:.3f} ms, reached {floor / fastest['segment_s']:.0%}")
    if peer:
        row("segment, PyTorch at its best", f"{peer['segment_s'] * 1e3:.3f} ms, {named(peer)}")
    if best and peer:
        compare("  PyTorch / ours", best["segment_s"], peer["segment_s"])
    single = least([found for found in ours if found["precision"] == "single"], "segment_s")
    tf32 = least([found for found in theirs if found.get("precision") == "tf32"], "segment_s")
    if single and tf32:
        row("  PyTorch in TF32 / ours in single", f"{tf32['segment_s'] / single['segment_s']:.2f}")
    song, their_song = least(part["song"], "wall_s"), least(theirs, "song_s")
    if song:
        wall = song["wall_s"]
        bar = f"1 s {verdict(wall < 1)}" if song["audio_s"] == 240 else ""
        row(f"song of {song['audio_s'] / 60:g} minutes, ours", f"{wall:.3f} s, {named(song)}", bar)
    if their_song:
        row("the same, PyTorch at its best", f"{their_song['song_s']:.3f} s, {named(their_song)}")
    if song and their_song and song["audio_s"] == their_song["audio_s"]:
        compare("  PyTorch / ours", song["wall_s"], their_song["song_s"])
    for found in part["parity"]:
        snr = found["single_snr_db"]
        bar = found["bar_db"]
        row("single precision against the CPU", f"{snr:.1f} dB", f"{bar:g} dB {verdict(snr >= bar)}")
        row("half against single, worst stem", f"{min(found['half_sdr_db'].values()):.1f} dB")
    for found in part["kernels"]:
        if (found.get("share") or 0) >= 0.1:
            row(f"  {found['precision']}: {found['kernel']}", f"{found['share']:.0%}")
    queue = part["queue"][-1] if part["queue"] else {}
    if queue:
        row(f"queue of {queue['songs']} songs", f"{queue['song_s']:.3f} s a song")
        grown = queue["grown_bytes"] / 2**20, queue["card_grown_bytes"] / 2**20
        row("  memory grown by", f"{grown[0]:.0f} MiB here, {grown[1]:.0f} MiB on the card")
    watched = busy(arguments.results / "watch.csv", queue)
    if watched:
        share = statistics.mean(busy for busy, _ in watched)
        row("  card busy", f"{share:.1f} %", f"90 % {verdict(share >= 90)}")
    song_s = queue.get("song_s") or song.get("wall_s")
    if song_s and arguments.price_per_hour:
        cost = 1000 * song_s / 3600 * arguments.price_per_hour
        row(f"1,000 songs at {arguments.price_per_hour:g} an hour", f"{cost:.4f}")
    for found in theirs:
        if "error" in found:
            row(f"PyTorch {named(found)}", found["error"][:60])
    for name in part:
        if not part[name]:
            row(name, "no result")
    widths = [max((len(cells[column]) for cells in rows), default=0) for column in range(2)]
    for what, value, bar in rows:
        print(f"{what:{widths[0]}}  {value:{widths[1]}}  {bar}".rstrip())


def main() -> None:
    """Runs one subcommand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    peer = commands.add_parser("torch", help="time PyTorch: one JSON line for each measurement")
    peer.add_argument("--weights", type=Path, required=True, help="safetensors; or drawn: seeded (as large), small")
    peer.add_argument("--samples", type=Path, default="signal", help="interleaved floats of two channels (signal)")
    peer.add_argument("--minutes", type=float, default=4.0, help="length of the song (4)")
    peer.add_argument("--seconds", type=float, default=1.0, help="for each measurement of segments (1)")
    peer.add_argument("--batches", type=int, nargs="+", default=BATCHES, help="segments of a batch (1 2 4 8 16 32)")
    peer.add_argument("--device", default="cuda", help="cuda or cpu (cuda)")
    peer.add_argument("--budget-seconds", type=float, default=480.0, help="for everything (480)")
    peer.add_argument("--compile-seconds", type=float, default=180.0, help="for a compiled network (180)")
    peer.add_argument("--no-compile", action="store_true", help="the network as it comes only")
    peer.add_argument("--wheels", type=Path, help="folder of packages that are missing here")
    peer.add_argument("--only", nargs=2, metavar=("PRECISION", "MODE"), help=argparse.SUPPRESS)
    peer.set_defaults(run=run_torch)
    table = commands.add_parser("table", help="print what the parts of gpu.sh found")
    table.add_argument("--results", type=Path, required=True, help="folder that they wrote to")
    table.add_argument("--price-per-hour", type=float, default=0.0, help="of the machine, for the cost of 1,000 songs")
    table.set_defaults(run=print_table)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
