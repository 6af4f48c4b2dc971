"""Demucs' network in PyTorch, in every way that PyTorch offers to run it fast: what ours is held against by `gpu.sh`.

What stands in its way without being part of its work is taken away: tables that demucs computes anew on the processor for each
segment are kept, and nothing waits for the card to look at what it computed. Results are those of the original.
"""

import contextlib
import copy
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import demucs.htdemucs
import torch
from demucs import transformer
from gpu_torch import COMPILED

ROOT = Path(__file__).resolve().parent.parent
OVERLAP = 0.25
FROM_S = 20
"""Where segments are taken from a song."""

ORIGINAL = transformer.create_2d_sin_embedding, transformer.create_sin_embedding
tables: dict[tuple, torch.Tensor] = {}
"""What demucs would compute again for each segment."""


def table(key: tuple, compute: Callable[[], torch.Tensor]) -> torch.Tensor:
    """A table that is computed once."""
    if key not in tables:
        tables[key] = compute()
    return tables[key]


def window(n: int, like: torch.Tensor) -> torch.Tensor:
    """Hann's window of `n` frames."""
    return table(("window", n), lambda: torch.hann_window(n).to(like.device))


def spectro(x: torch.Tensor, n_fft: int = 512, hop_length: int | None = None, pad: int = 0) -> torch.Tensor:
    """As `demucs.spec.spectro`."""
    *other, length = x.shape
    how = {"window": window(n_fft, x), "win_length": n_fft, "normalized": True, "center": True, "pad_mode": "reflect"}
    z = torch.stft(x.reshape(-1, length), n_fft, hop_length or n_fft // 4, return_complex=True, **how)
    return z.view(*other, *z.shape[1:])


def ispectro(z: torch.Tensor, hop_length: int | None = None, length: int | None = None, pad: int = 0) -> torch.Tensor:
    """As `demucs.spec.ispectro`, but never waits for the card, which `torch.istft` does to look for zeros of the window."""
    *other, bins, frames = z.shape
    n = 2 * bins - 2
    hop = hop_length or n // 4
    shape = window(n, z)
    pieces = torch.fft.irfft(z.reshape(-1, bins, frames).transpose(1, 2), n, norm="ortho") * shape
    envelope = table(("envelope", n, hop, frames), lambda: overlapped(shape.square().expand(1, frames, n), hop))
    inside = slice(n // 2, n // 2 + length)
    return (overlapped(pieces, hop)[:, inside] / envelope[:, inside]).view(*other, length)


def overlapped(pieces: torch.Tensor, hop: int) -> torch.Tensor:
    """The sum of pieces `[B, T, n]` that begin `hop` frames behind each other: `[B, (T - 1) * hop + n]`."""
    batch, count, n = pieces.shape
    parts = n // hop
    pieces = pieces.reshape(batch, count, parts, hop)
    out = pieces.new_zeros(batch, count + parts - 1, hop)
    for part in range(parts):
        out[:, part : part + count] += pieces[:, :, part]
    return out.reshape(batch, -1)


def unhindered(kind: torch.dtype) -> None:
    """Has demucs keep its tables, those of the positions in the type of the transformer, and not wait for the card."""
    grid, line = ORIGINAL

    def position_2d(channels: int, height: int, width: int, device: object = "cpu", period: float = 10000) -> torch.Tensor:
        return table(("2d", channels, height, width), lambda: grid(channels, height, width, device, period).to(kind))

    def position(self: object, length: int, _batch: int, channels: int, device: object) -> torch.Tensor:
        compute = lambda: line(length, channels, device=device, max_period=self.max_period).to(kind)  # noqa: E731
        return table(("1d", length, channels), compute)

    transformer.create_2d_sin_embedding = position_2d
    transformer.CrossTransformerEncoder._get_pos_embedding = position
    demucs.htdemucs.spectro, demucs.htdemucs.ispectro = spectro, ispectro
    # Its own looks whether each sample came through.
    demucs.htdemucs.pad1d = torch.nn.functional.pad


def load(weights: str, device: str) -> torch.nn.Module:
    """The network on its device, of weights that are named or drawn."""
    sys.path.insert(0, str(ROOT / "scripts"))
    from dump_reference import OFFICIAL_KWARGS, SMALL_KWARGS, checkpoint_network, seeded_network

    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    drawn = {"seeded": OFFICIAL_KWARGS, "small": SMALL_KWARGS}
    model = seeded_network(drawn[weights], 1) if weights in drawn else checkpoint_network(Path(weights))[0]
    return model.to(device)


class Song:
    """A song that begins again where it ends: the same samples that ours is measured with."""

    def __init__(self, samples: str, rate: int) -> None:
        import numpy as np

        self.rate = rate
        if samples == "signal":
            from dump_reference import synthetic_mixture

            self.channels = synthetic_mixture(60 * rate)
        else:
            self.channels = torch.from_numpy(np.fromfile(samples, dtype=np.float32).reshape(-1, 2).T.copy())

    def repeated(self, start: int, frames: int) -> torch.Tensor:
        """`[2, frames]` from some place on."""
        return self.channels[:, torch.arange(start, start + frames) % self.channels.shape[1]]

    def segments(self, batch: int, frames: int) -> torch.Tensor:
        """Segments that follow each other, at the song's loudness: `[batch, 2, frames]`."""
        mono = self.channels.double().mean(0)
        mix = self.repeated(FROM_S * self.rate, batch * frames)
        mix = ((mix - mono.mean()) / (mono.std() + 1e-8)).float()
        return mix.reshape(2, batch, frames).transpose(0, 1).contiguous()


class Peer:
    """A network in one precision, by one mode, for batches of one size.

    A precision is tf32, float16 or bfloat16 (by autocast), or half (weights and activations, all but the transforms). A mode is
    eager, graph (the eager network as a CUDA graph) or one of `torch.compile`'s, with flags behind plus signs: `last` has the channels
    of the frequency branch last, `plain` is attention without its fast path.
    """

    def __init__(self, model: torch.nn.Module, device: str, precision: str, mode: str, example: torch.Tensor) -> None:
        self.device, self.precision = torch.device(device), precision
        self.mode, *flags = mode.split("+")
        self.model = copy.deepcopy(model)
        self.frames, self.batch = int(model.segment * model.samplerate), len(example)
        # All segments are whole, and fractions cannot be compiled.
        self.model.use_train_segment = False
        tables.clear()
        unhindered(torch.float16 if precision == "half" else torch.float32)
        if "last" in flags:
            for branch in (self.model.encoder, self.model.decoder):
                branch.to(memory_format=torch.channels_last)
        torch.backends.mha.set_fastpath_enabled("plain" not in flags)
        if precision == "half":
            self.model.half()
            for first in (self.model.encoder[0], self.model.tencoder[0]):
                first.register_forward_pre_hook(lambda _, inputs: (inputs[0].half(), *inputs[1:]))
        self.network = self.model
        if self.mode in COMPILED:
            self.eager(example)
            self.network = torch.compile(self.model, mode=self.mode, dynamic=False)
        if self.mode == "graph":
            self.record(example)

    def record(self, example: torch.Tensor) -> None:
        """Records what a batch launches."""
        self.mix, side = example.clone(), torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.eager(self.mix)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.out = self.eager(self.mix)

    def eager(self, mix: torch.Tensor) -> torch.Tensor:
        """Calls the network."""
        cast = contextlib.nullcontext()
        if self.precision in ("float16", "bfloat16"):
            cast = torch.autocast(self.device.type, getattr(torch, self.precision))
        with torch.inference_mode(), cast:
            return self.network(mix).float()

    def __call__(self, mix: torch.Tensor) -> torch.Tensor:
        """Separates a batch, `[B, 2, N]` to `[B, S, 2, N]` of floats."""
        if self.mode == "graph":
            self.mix.copy_(mix)
            self.graph.replay()
            return self.out
        if self.mode in COMPILED:
            torch.compiler.cudagraph_mark_step_begin()
        return self.eager(mix)

    def seconds(self, mix: torch.Tensor) -> float:
        """What a batch takes, by the device's clock where it has one."""
        if self.device.type != "cuda":
            begun = time.perf_counter()
            self(mix)
            return time.perf_counter() - begun
        begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begun.record()
        self(mix)
        ended.record()
        ended.synchronize()
        return begun.elapsed_time(ended) / 1000

    def song(self, mixture: torch.Tensor, stems: torch.Tensor) -> float:
        """Separates decoded samples into `stems`, both in the host's memory, as demucs' `apply_model` does, but in batches."""
        begun, n = time.perf_counter(), self.frames
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
            for first in range(0, len(offsets), self.batch):
                group = offsets[first : first + self.batch]
                # A short segment has as much of the song around it as there is.
                places = [(offset, min(n, length - offset)) for offset in group]
                starts = [n + offset - (n - frames) // 2 for offset, frames in places]
                if self.mode != "eager":
                    # What was compiled or recorded takes whole batches only.
                    starts += [0] * (self.batch - len(group))
                windows = torch.stack([padded[:, start : start + n] for start in starts])
                for (offset, frames), separated in zip(places, self(windows), strict=False):
                    inside = (n - frames) // 2
                    out[..., offset : offset + frames] += weight[:frames] * separated[..., inside : inside + frames]
                    total[offset : offset + frames] += weight[:frames]
            stems.copy_(out / total * deviation + mean, non_blocking=True)
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - begun


def settled(run: Callable[[], float], seconds: float) -> float:
    """The median of at least five runs, for so many seconds, behind as many that warm the device up."""
    for least in (1, 5):
        times: list[float] = []
        start = time.perf_counter()
        while len(times) < least or time.perf_counter() - start < seconds:
            times.append(run())
    return statistics.median(times)


def decibels(expected: torch.Tensor, found: torch.Tensor) -> float:
    """Power of the first over that of the difference."""
    expected, found = expected.double(), found.double()
    noise = (expected - found).square().sum().clamp(min=1e-30)
    return (10 * torch.log10(expected.square().sum() / noise)).item()
