"""PyTorch's side of `gpu.sh`: ranks the ways in which PyTorch runs the network, times songs by the best, and compiles.

Each precision and each compiled network has a process of its own: where one dies, or breaks the card's context, that is a line.
"""

import argparse
import contextlib
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import threading
import time

from gpu_results import Results

PRECISIONS = ["float16", "half", "bfloat16", "tf32"]
COMPILED = ["reduce-overhead", "max-autotune", "default"]
"""Modes of `torch.compile`, the one that promises most for its time first."""
RANKED = [8, 32]
"""Batches by which ways are ranked."""
BATCHES = [8, 14, 16, 21, 32, 42]
"""Batches by which segments and songs are timed: 42 segments are a song of four minutes."""
RANK_S = 0.3
MOST_RANK_S, MOST_SONGS_S, MOST_PRODUCTS_S = 75.0, 75.0, 45.0
"""What a process may take at most."""


def say(**facts: object) -> None:
    """Prints one line of the results; what is no number is none."""
    facts = {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in facts.items()}
    print(json.dumps(facts), flush=True)


# Each of these is a process ------------------------------------------------------------------------


def products(arguments: argparse.Namespace) -> None:
    """Prints what the card does of products of large random matrices, by NVIDIA's own library."""
    import torch

    on_card = arguments.device.startswith("cuda")
    torch.backends.cuda.matmul.allow_tf32 = True
    size = 8192 if on_card else 256
    for name, kind in (("float16", torch.float16), ("tf32", torch.float32), ("bfloat16", torch.bfloat16)):
        a, b = (torch.randn(size, size, device=arguments.device).to(kind) for _ in range(2))
        times = []
        for _ in range(13):
            start = time.perf_counter()
            if on_card:
                begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
                begun.record()
            torch.matmul(a, b)
            if on_card:
                ended.record()
                ended.synchronize()
            times.append(begun.elapsed_time(ended) / 1000 if on_card else time.perf_counter() - start)
        say(product=name, size=size, flop_s=2 * size**3 / statistics.median(times[3:]))


class Measure:
    """A network, a song, and ours of its first segment."""

    def __init__(self, arguments: argparse.Namespace, precision: str) -> None:
        import numpy as np
        import torch
        from gpu_peer import Song, load

        self.arguments, self.precision, self.torch = arguments, precision, torch
        self.model = load(arguments.weights, arguments.device)
        self.frames = int(self.model.segment * self.model.samplerate)
        self.song = Song(arguments.samples, self.model.samplerate)
        self.ours = None
        if arguments.ours:
            shape = (len(self.model.sources), 2, self.frames)
            self.ours = torch.from_numpy(np.fromfile(arguments.ours, dtype=np.float32).reshape(shape))

    def row(self, mode: str, batch: int, seconds: float, songs: bool) -> float:
        """Prints what a segment takes, perhaps a song, and how far the result is from ours; gives the first."""
        from gpu_peer import Peer, decibels, settled

        torch, facts = self.torch, {"precision": self.precision, "mode": mode, "batch": batch}
        on_card = self.arguments.device.startswith("cuda")
        try:
            if on_card:
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            start = time.perf_counter()
            mix = self.song.segments(batch, self.frames).to(self.arguments.device)
            peer = Peer(self.model, self.arguments.device, self.precision, mode, mix)
            first = peer(mix)[0].cpu()
            facts["first_s"] = time.perf_counter() - start
            if self.ours is not None:
                facts["snr_db"] = decibels(self.ours, first)
            took = settled(lambda: peer.seconds(mix), seconds) / batch
            facts["segment_s"] = took
            if songs:
                audio_s = 60 * self.arguments.minutes
                mixture = self.song.repeated(0, round(audio_s * self.model.samplerate))
                host = torch.empty(mixture.shape, pin_memory=on_card).copy_(mixture)
                stems = torch.empty((len(self.model.sources), *mixture.shape), pin_memory=on_card)
                facts |= {"song_s": settled(lambda: peer.song(host, stems), 0), "audio_s": audio_s}
            if on_card:
                facts["bytes"] = torch.cuda.max_memory_allocated()
            say(**facts)
            return took
        except (RuntimeError, NotImplementedError) as error:
            say(**facts, error=f"{type(error).__name__}: {error}".splitlines()[0][:200])
            return math.inf


def rank(arguments: argparse.Namespace) -> None:
    """Prints what short measurements give for the ways that need no compiler, in one precision."""
    measure = Measure(arguments, arguments.rank)
    for batch in arguments.ranked:
        eager = {flags: measure.row("eager" + flags, batch, RANK_S, songs=False) for flags in ("", "+plain", "+last")}
        if arguments.device.startswith("cuda"):
            flags = "".join(flag for flag in ("+plain", "+last") if eager[flag] < eager[""])
            measure.row("graph" + flags, batch, RANK_S, songs=False)


def only(arguments: argparse.Namespace) -> None:
    """Times segments and songs of one precision and mode in all batches."""
    precision, mode = arguments.only
    measure = Measure(arguments, precision)
    for batch in arguments.batches:
        measure.row(mode, batch, arguments.seconds, songs=True)


# And this starts them ------------------------------------------------------------------------------


def end_group(process: int) -> None:
    """Ends a process and those that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)


class Campaign:
    """Processes one after the other, while there is time."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments, self.ends = arguments, time.monotonic() + arguments.budget_seconds
        self.rows: list[dict] = Results([arguments.known]).good("torch") if arguments.known else []

    def run(self, most: float, facts: dict, *options: str) -> None:
        """Runs one, hands its lines on, and says where it did not come to its end."""
        arguments, begun = self.arguments, time.monotonic()
        left = min(most, self.ends - begun)
        if left < 10:
            say(**facts, error="no time left")
            return
        this = [sys.executable, sys.argv[0], "torch", "--device", arguments.device, "--weights", arguments.weights]
        this += ["--samples", arguments.samples, "--minutes", str(arguments.minutes), "--seconds", str(arguments.seconds)]
        this += ["--wheels", str(arguments.wheels)] if arguments.wheels else []
        this += ["--ours", str(arguments.ours)] if arguments.ours else []
        # What it prints is read as it comes: the lines of one that is stopped count. Its own processes end with it.
        with subprocess.Popen([*this, *options], stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
            stop = threading.Timer(left, end_group, [process.pid])
            stop.start()
            try:
                for line in process.stdout:
                    print(line, end="", flush=True)
                    with contextlib.suppress(json.JSONDecodeError):
                        self.rows.append(json.loads(line))
                process.wait()
            finally:
                stop.cancel()
                end_group(process.pid)
        late = time.monotonic() - begun >= left - 1
        if process.returncode and late:
            say(**facts, error=f"not done in {left:.0f} s")
        elif process.returncode < 0:
            say(**facts, error=f"died of signal {-process.returncode}")
        elif process.returncode:
            say(**facts, error=f"ended with {process.returncode}: the log says why")

    def best(self) -> list[dict]:
        """The fastest row of each precision and mode, the fastest first; those that compute something else are left out."""
        found: dict[tuple, dict] = {}
        for row in self.rows:
            if "mode" in row and row.get("segment_s") and (row.get("snr_db", 99) or 0) >= self.arguments.least_snr:
                old = found.setdefault((row["precision"], row["mode"]), row)
                if row["segment_s"] < old["segment_s"]:
                    found[row["precision"], row["mode"]] = row
        return sorted(found.values(), key=lambda row: row["segment_s"])


def run(arguments: argparse.Namespace) -> None:
    """Subcommand `torch`."""
    if arguments.products:
        return products(arguments)
    if arguments.rank:
        return rank(arguments)
    if arguments.only:
        return only(arguments)
    # Told to end, it ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    campaign = Campaign(arguments)
    if arguments.compile:
        return compiled(campaign)
    return uncompiled(campaign)


def uncompiled(campaign: Campaign) -> None:
    """The card's products, the ways that need no compiler, and songs by the best two."""
    arguments = campaign.arguments
    campaign.run(MOST_PRODUCTS_S, {"product": "all"}, "--products")
    for precision in PRECISIONS:
        options = ["--ranked", *map(str, arguments.ranked), "--rank", precision]
        campaign.run(MOST_RANK_S, {"precision": precision, "mode": "all that need no compiler"}, *options)
    for row in campaign.best()[:2]:
        precision, mode = row["precision"], row["mode"]
        # The batch that it was best with first, so that its song is there whatever comes.
        batches = sorted(arguments.batches, key=lambda batch, best=row["batch"]: batch != best)
        options = ["--only", precision, mode, "--batches", *map(str, batches)]
        campaign.run(MOST_SONGS_S, {"precision": precision, "mode": mode}, *options)


def compiled(campaign: Campaign) -> None:
    """What `torch.compile` makes of the network, in the precision and the batch that are the best without."""
    best = next(iter(campaign.best()), {"precision": PRECISIONS[0], "batch": RANKED[0]})
    for mode in COMPILED:
        facts = {"precision": best["precision"], "mode": mode, "batch": best["batch"]}
        options = ["--only", best["precision"], mode, "--batches", str(best["batch"])]
        campaign.run(campaign.arguments.compile_seconds, facts, *options)
