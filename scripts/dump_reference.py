#!/usr/bin/env python3
"""Reference data from the official PyTorch Demucs, for the parity tests of the `demucs` crate.

    dump_reference.py goldens --weights htdemucs.safetensors --out demucs/tests/golden
    dump_reference.py song    --weights htdemucs.safetensors --input song.wav --out stems/ --wav
    dump_reference.py bench   --weights htdemucs.safetensors --seconds 60 --repeat 3

Needs the packages of `scripts/requirements-reference.txt`; runs on the CPU in float32.

`--weights` is a safetensors file with the state dict of the official checkpoint 955717e8 (other
checkpoints work if the file's metadata has their `kwargs`, as the published safetensors do).

Inputs and the weights of the small networks are never stored: both sides compute them from the
integer formulas below (`seeded_weight`, `synthetic_mixture`), so a golden file holds outputs only.
All integers are 64-bit and wrap around.
"""

import argparse
import importlib.metadata
import json
import math
import random
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from demucs.apply import BagOfModels, apply_model
from demucs.htdemucs import HTDemucs
from safetensors import safe_open
from safetensors.torch import load_file, save, save_file

Tensors = dict[str, torch.Tensor]

SOURCES = ["drums", "bass", "other", "vocals"]
OVERLAP = 0.25
SAMPLED_POSITIONS = 4096
"""Values kept of each block of the official network."""
SAMPLED_POSITIONS_SONG = 2048
"""Values kept of each stem of the official network's song."""
GOLDEN_LIMIT_BYTES = 1 << 20
"""All golden files together stay below this, so that the repository stays light."""

OFFICIAL_KWARGS = {
    "sources": SOURCES, "audio_channels": 2, "channels": 48, "growth": 2, "nfft": 4096, "cac": True,
    "depth": 4, "rewrite": True, "freq_emb": 0.2, "emb_scale": 10, "emb_smooth": True,
    "kernel_size": 8, "stride": 4, "time_stride": 2, "context": 1, "context_enc": 0,
    "norm_starts": 4, "norm_groups": 4, "dconv_mode": 3, "dconv_depth": 2, "dconv_comp": 8,
    "dconv_init": 1e-3, "bottom_channels": 512, "t_layers": 5, "t_hidden_scale": 4.0, "t_heads": 8,
    "t_dropout": 0.02, "t_emb": "sin", "t_norm_in": True, "t_norm_first": True, "t_norm_out": True,
    "t_layer_scale": True, "t_gelu": True, "t_cross_first": False,
    "samplerate": 44100, "segment": Fraction(39, 5),
}  # fmt: skip
"""Hyper-parameters of 955717e8, the network of `htdemucs`."""

SMALL_KWARGS = OFFICIAL_KWARGS | {
    "channels": 4, "nfft": 128, "depth": 2, "dconv_comp": 2, "bottom_channels": 16, "t_layers": 3,
    "t_hidden_scale": 2.0, "t_heads": 2, "samplerate": 8000, "segment": Fraction(299, 8000),
}  # fmt: skip
"""A network small enough to store every block in full, through the same code paths.

Its segment of 299 frames is odd and a multiple neither of the hop nor of a stride.
"""

SMALL_SEED = 1
SIX_SOURCES_SEED = 2
BAG_SEEDS = [3, 4]
BAG_WEIGHTS = [[0.75, 1.0, 0.25, 0.0], [0.5, 0.0, 0.75, 1.0]]
SMALL_SONG_FRAMES = 478
"""Three chunks of a small network: a whole segment, a short one, and a tail of 30 frames."""
OFFICIAL_SONG_FRAMES = 20 * 44100
SHIFT_OFFSETS = [[1234, 0], [4000, 777]]
"""Offsets of the shift trick per network of the bag and shift, 0..=4000 frames; both ends occur."""


# Deterministic numbers ---------------------------------------------------------------------------


def splitmix64(x: np.ndarray) -> np.ndarray:
    """Hashes `x` (u64) element by element: one step of the SplitMix64 generator."""
    z = x + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def fnv1a64(name: str) -> int:
    """FNV-1a hash of the UTF-8 bytes of `name`, u64."""
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def seeded_weight(name: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """Weight `name` of the small network `seed`: f32 `shape`, filled in row-major order.

    Scales and norm weights stay well away from zero, so no block hides behind its layer scale.
    """
    base = np.uint64(fnv1a64(name) ^ (seed * 0x9E3779B97F4A7C15) % 2**64)
    index = np.arange(math.prod(shape), dtype=np.uint64)
    u = (splitmix64(base + index) >> np.uint64(40)).astype(np.float64) / 2**24
    v = 2 * u - 1
    if name.endswith("scale"):
        values = 0.3 + 0.2 * u
    elif len(shape) == 1 and name.endswith("weight"):
        values = 0.8 + 0.4 * u
    elif len(shape) == 1 or name == "freq_emb.embedding.weight":
        values = 0.1 * v
    else:
        values = v * math.sqrt(3 / math.prod(shape[1:]))
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


def synthetic_mixture(frames: int) -> torch.Tensor:
    """The test signal, f32 `[2, frames]` with a peak of 1.00002: eight decaying triangle waves and noise bursts."""
    t = np.arange(frames, dtype=np.int64)
    return torch.from_numpy(np.stack([_synthetic_channel(t, channel) for channel in range(2)]))


def _synthetic_channel(t: np.ndarray, channel: int) -> np.ndarray:
    """Channel `channel` of the test signal at the frames `t` (i64), f32 `[len(t)]`."""
    total = np.zeros_like(t)
    for k in range(8):
        increment = 12000017 + 9000011 * (k + 1) * (k + 1)
        phase = (t * increment + channel * 0x10000000 + k * 0x0700000) % 2**32
        triangle = np.abs(phase - 2**31) - 2**30
        envelope = 65535 - (t * (3 + k)) // 2 % 65536
        total += (triangle * envelope) >> 16
    hashed = splitmix64((2 * t + channel).astype(np.uint64)) >> np.uint64(33)
    noise = hashed.astype(np.int64) - 2**30
    envelope = np.maximum(0, 65535 - 16 * (t % 22050))
    total += (noise * envelope) >> 18
    return (total / 2**33).astype(np.float32)


def sampled_positions(name: str, size: int, count: int) -> np.ndarray:
    """The first `count` positions at which block `name` of `size` values is sampled, i64 `[count]`.

    Positions index the row-major block; repeats are possible.
    """
    k = np.arange(count, dtype=np.uint64)
    return (splitmix64(np.uint64(fnv1a64(name)) + k) % np.uint64(size)).astype(np.int64)


# Networks ----------------------------------------------------------------------------------------


def seeded_network(kwargs: dict, seed: int) -> HTDemucs:
    """An HTDemucs of `kwargs` whose weights are `seeded_weight(.., seed)`."""
    model = HTDemucs(**kwargs)
    state = {name: seeded_weight(name, tuple(old.shape), seed) for name, old in model.state_dict().items()}
    model.load_state_dict(state, strict=True)
    return model.eval()


def checkpoint_network(path: Path) -> tuple[HTDemucs, dict]:
    """The HTDemucs stored in the safetensors file `path`, and its kwargs."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
    kwargs = json.loads(metadata["kwargs"], object_hook=_fraction) if "kwargs" in metadata else OFFICIAL_KWARGS
    model = HTDemucs(**kwargs)
    state = {name: tensor.float() for name, tensor in load_file(path).items()}
    model.load_state_dict(state, strict=True)
    return model.eval(), kwargs


def _fraction(node: dict) -> Fraction | dict:
    """Turns `{"_type": "fraction", ..}` of the published metadata into a Fraction."""
    if node.get("_type") == "fraction":
        return Fraction(node["numerator"], node["denominator"])
    return node


def _fraction_json(value: object) -> dict:
    """The inverse of `_fraction`, for `json.dumps(default=..)`."""
    if isinstance(value, Fraction):
        return {"_type": "fraction", "numerator": value.numerator, "denominator": value.denominator}
    raise TypeError(f"not storable as json: {value!r}")


def segment_frames(model: HTDemucs) -> int:
    """Length of one segment of `model`, in frames."""
    return int(model.segment * model.samplerate)


# What is recorded --------------------------------------------------------------------------------

BLOCKS = ("encoder", "tencoder", "decoder", "tdecoder")
SINGLES = ("channel_upsampler", "channel_downsampler", "channel_upsampler_t", "channel_downsampler_t", "freq_emb")


def recorded_modules(model: HTDemucs) -> list[str]:
    """Names of the modules whose output is recorded."""
    names = [f"{block}.{i}{part}" for block in BLOCKS for i in range(model.depth) for part in ("", ".dconv")]
    layers = range(model.crosstransformer.num_layers)
    names += [f"crosstransformer.{stack}.{i}" for stack in ("layers", "layers_t") for i in layers]
    return names + list(SINGLES)


@contextmanager
def _recording(model: HTDemucs, blocks: Tensors) -> Iterator[None]:
    """While open, stores what the modules and the signal processing of `model` return in `blocks`."""

    def hook(name: str) -> Callable:
        def store(_module: torch.nn.Module, _inputs: tuple, output: torch.Tensor | tuple) -> None:
            blocks[name] = output[0] if isinstance(output, tuple) else output

        return store

    def magnitude(z: torch.Tensor) -> torch.Tensor:
        blocks["spec"] = HTDemucs._magnitude(model, z)
        return blocks["spec"]

    def mask(z: torch.Tensor, spectrogram: torch.Tensor) -> torch.Tensor:
        blocks["freq_branch"] = spectrogram
        return HTDemucs._mask(model, z, spectrogram)

    def inverse(z: torch.Tensor, length: int) -> torch.Tensor:
        blocks["ispec"] = HTDemucs._ispec(model, z, length)
        return blocks["ispec"]

    handles = [model.get_submodule(name).register_forward_hook(hook(name)) for name in recorded_modules(model)]
    replaced = mock.patch.multiple(model, _magnitude=magnitude, _mask=mask, _ispec=inverse)
    try:
        with replaced:
            yield
    finally:
        for handle in handles:
            handle.remove()


def record_segment(model: HTDemucs) -> Tensors:
    """Every block of `model` for one segment of the synthetic mixture.

    Modules carry their PyTorch name and layout: `encoder.0` is the layer's own output, before the
    frequency embedding is added; a `.dconv` of the frequency branch is `[F, C, T]` (the bins are its
    batch); a transformer layer is `[1, tokens, C]` with the frequency tokens ordered time-major;
    `freq_emb` is `[F, C]`, with `emb_scale` and without the factor `freq_emb` of the kwargs. Besides:
    `spec` `[1, 2C, F, T]` (complex as channels, not normalised), `freq_branch` `[1, S, 2C, F, T]` and
    `time_branch` `[1, S, C, N]` (normalisation of the segment undone), `ispec` and `output` `[1, S, C, N]`.
    """
    mix = synthetic_mixture(segment_frames(model))[None]
    blocks: Tensors = {}
    with torch.no_grad(), _recording(model, blocks):
        output = model(mix)
    mean, std = mix.mean(dim=(1, 2), keepdim=True), mix.std(dim=(1, 2), keepdim=True)
    time = blocks[f"tdecoder.{model.depth - 1}"].view(1, len(model.sources), -1, mix.shape[-1])
    blocks["time_branch"] = time * std[:, None] + mean[:, None]
    blocks["output"] = output
    assert torch.equal(blocks["time_branch"] + blocks["ispec"], output), "the two branches must add up to the output"
    return blocks


def separate(model: HTDemucs | BagOfModels, mixture: torch.Tensor, shifts: int = 0) -> Tensors:
    """Stems of a whole song: `mixture` f32 `[2, N]` to one `[2, N]` per source.

    The song is normalised by its mono mean and standard deviation, as `demucs.api` does.
    """
    reference = mixture.mean(0)
    mean, std = reference.mean(), reference.std() + 1e-8
    normalised = ((mixture - mean) / std)[None]
    with torch.no_grad():
        stems = apply_model(model, normalised, shifts=shifts, split=True, overlap=OVERLAP)[0]
    return dict(zip(model.sources, stems * std + mean, strict=True))


def separate_shifted(bag: BagOfModels, mixture: torch.Tensor) -> Tensors:
    """`separate` with the shift trick, whose random offsets are replaced by `SHIFT_OFFSETS`."""
    offsets = iter([offset for network in SHIFT_OFFSETS for offset in network])
    with mock.patch.object(random, "randint", lambda _low, _high: next(offsets)):
        return separate(bag, mixture, shifts=len(SHIFT_OFFSETS[0]))


def _prefixed(prefix: str, stems: Tensors) -> Tensors:
    """The tensors renamed `<prefix>.<name>`."""
    return {f"{prefix}.{name}": stem for name, stem in stems.items()}


# Golden files ------------------------------------------------------------------------------------


def small_golden() -> tuple[Tensors, dict]:
    """Every block of the small network, in full."""
    return record_segment(seeded_network(SMALL_KWARGS, SMALL_SEED)), _describe(SMALL_KWARGS, seed=SMALL_SEED)


def six_sources_golden() -> tuple[Tensors, dict]:
    """Song of a small network with six sources."""
    kwargs = SMALL_KWARGS | {"sources": [*SOURCES, "guitar", "piano"]}
    model = seeded_network(kwargs, SIX_SOURCES_SEED)
    blocks = _prefixed("apply", separate(model, synthetic_mixture(SMALL_SONG_FRAMES)))
    return blocks, _describe(kwargs, seed=SIX_SOURCES_SEED, frames=SMALL_SONG_FRAMES)


def bag_golden() -> tuple[Tensors, dict]:
    """Song of a weighted bag of two small networks, without and with the shift trick."""
    bag = BagOfModels([seeded_network(SMALL_KWARGS, seed) for seed in BAG_SEEDS], BAG_WEIGHTS)
    mixture = synthetic_mixture(SMALL_SONG_FRAMES)
    blocks = _prefixed("apply", separate(bag, mixture)) | _prefixed("shifted", separate_shifted(bag, mixture))
    metadata = _describe(
        SMALL_KWARGS, seeds=BAG_SEEDS, weights=BAG_WEIGHTS, frames=SMALL_SONG_FRAMES, shift_offsets=SHIFT_OFFSETS
    )
    return blocks, metadata


def official_golden(weights: Path) -> tuple[Tensors, dict]:
    """Every block and a song of 20 s through the official network, sampled."""
    model, kwargs = checkpoint_network(weights)
    song = separate(model, synthetic_mixture(OFFICIAL_SONG_FRAMES))
    full = record_segment(model)
    for name in SINGLES:
        del full[name]
    full |= _prefixed("apply", song)
    print_spread("official", full)
    metadata = _describe(kwargs, frames=OFFICIAL_SONG_FRAMES)
    metadata |= {f"shape.{name}": json.dumps(list(block.shape)) for name, block in full.items()}
    metadata["positions"] = "value k is at splitmix64(fnv1a64(name) + k) mod size of the row-major block"
    return {name: _sampled(name, block) for name, block in full.items()}, metadata


def _sampled(name: str, block: torch.Tensor) -> torch.Tensor:
    """The values of `block` at its sampled positions, f32 `[count]`."""
    count = SAMPLED_POSITIONS_SONG if name.startswith("apply.") else SAMPLED_POSITIONS
    flat = block.flatten()
    return flat[torch.from_numpy(sampled_positions(name, flat.numel(), count))]


def _describe(kwargs: dict, **facts: object) -> dict[str, str]:
    """Metadata of a golden file: kwargs, facts as JSON, and the versions that made it."""
    versions = {name: importlib.metadata.version(name) for name in ("demucs", "torch", "numpy")}
    described = {"kwargs": json.dumps(kwargs, default=_fraction_json), "versions": json.dumps(versions)}
    return described | {name: json.dumps(fact) for name, fact in facts.items()}


def repeatable(stored: bytes) -> bytes:
    """The safetensors file `stored` with its header in sorted order, so that equal data give equal bytes."""
    header_end = 8 + int.from_bytes(stored[:8], "little")
    header = json.dumps(json.loads(stored[8:header_end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + stored[header_end:]


def print_spread(title: str, blocks: Tensors) -> None:
    """Prints shape and standard deviation of every block: none may vanish or explode."""
    for name, block in blocks.items():
        print(f"{title:12} {name:32} {str(tuple(block.shape)):24} std {float(block.std()):.5f}")


def write_goldens(arguments: argparse.Namespace) -> None:
    """Subcommand `goldens`."""
    arguments.out.mkdir(parents=True, exist_ok=True)
    recipes = {"small": small_golden, "six_sources": six_sources_golden, "bag": bag_golden}
    recipes["official"] = lambda: official_golden(arguments.weights)
    written_bytes = 0
    for name, recipe in recipes.items():
        blocks, metadata = recipe()
        if name != "official":
            print_spread(name, blocks)
        path = arguments.out / f"{name}.safetensors"
        path.write_bytes(repeatable(save({key: block.contiguous() for key, block in blocks.items()}, metadata)))
        written_bytes += path.stat().st_size
        print(f"wrote {path}, {path.stat().st_size} bytes")
    assert written_bytes < GOLDEN_LIMIT_BYTES, f"goldens take {written_bytes} bytes, limit {GOLDEN_LIMIT_BYTES}"


# Whole songs and timing --------------------------------------------------------------------------


def write_song(arguments: argparse.Namespace) -> None:
    """Subcommand `song`."""
    model, _ = checkpoint_network(arguments.weights)
    if not arguments.wav:
        stems = separate(model, load_file(arguments.input)["mixture"])
        save_file({name: stem.contiguous() for name, stem in stems.items()}, arguments.out)
        return
    import soundfile

    samples, rate = soundfile.read(arguments.input, dtype="float32", always_2d=True)
    if rate != model.samplerate or samples.shape[1] != 2:
        raise SystemExit(f"the input must be stereo at {model.samplerate} Hz, not {samples.shape[1]} x {rate} Hz")
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, stem in separate(model, torch.from_numpy(samples.T.copy())).items():
        soundfile.write(arguments.out / f"{name}.wav", stem.T.numpy(), rate, subtype="FLOAT")


def print_bench(arguments: argparse.Namespace) -> None:
    """Subcommand `bench`: one JSON line per run, then one with the medians; the first segment warms up."""
    model, _ = checkpoint_network(arguments.weights)
    segment = synthetic_mixture(segment_frames(model))[None]
    mixture = synthetic_mixture(round(arguments.seconds * model.samplerate))
    tasks = {"segment": lambda: model(segment), "song": lambda: separate(model, mixture)}
    with torch.inference_mode():
        model(segment)
        for what, task in tasks.items():
            audio_s = (segment if what == "segment" else mixture).shape[-1] / model.samplerate
            runs = [_timed(task) for _ in range(arguments.repeat)]
            for run in runs:
                print(json.dumps({"what": what, "audio_s": audio_s} | run))
            median = {f"median_{key}": float(np.median([run[key] for run in runs])) for key in runs[0]}
            facts = {"threads": torch.get_num_threads(), "torch": torch.__version__}
            print(json.dumps({"what": what, "audio_s": audio_s} | facts | median))


def _timed(task: Callable[[], object]) -> dict[str, float]:
    """Wall and processor seconds of one call, and the peak memory of the process so far in MiB."""
    wall, cpu = time.perf_counter(), time.process_time()
    task()
    wall_s, cpu_s = time.perf_counter() - wall, time.process_time() - cpu
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"wall_s": round(wall_s, 3), "cpu_s": round(cpu_s, 3), "peak_mib": round(peak_mib)}


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    goldens = commands.add_parser("goldens", help="write the golden files of the test suite")
    goldens.add_argument("--out", type=Path, required=True, help="folder for the four .safetensors files")
    goldens.set_defaults(run=write_goldens)

    song = commands.add_parser("song", help="separate a whole song (shifts 0, overlap 0.25)")
    song.add_argument("--input", type=Path, required=True, help="safetensors with `mixture` f32 [2, N] at 44.1 kHz")
    song.add_argument("--out", type=Path, required=True, help="safetensors with one [2, N] per stem")
    song.add_argument("--wav", action="store_true", help="input is a WAV file, output a folder of float WAV files")
    song.set_defaults(run=write_song)

    bench = commands.add_parser("bench", help="time one segment and a song; prints JSON lines")
    bench.add_argument("--seconds", type=float, default=60.0, help="length of the song (default: 60)")
    bench.add_argument("--repeat", type=int, default=3, help="runs of each (default: 3)")
    bench.set_defaults(run=print_bench)

    for command in (goldens, song, bench):
        command.add_argument("--weights", type=Path, required=True, help="state dict of 955717e8, safetensors")
        command.add_argument("--threads", type=int, default=2, help="threads of PyTorch (default: 2)")
    return parser.parse_args()


def main() -> None:
    """Runs one subcommand."""
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    arguments.run(arguments)


if __name__ == "__main__":
    main()
