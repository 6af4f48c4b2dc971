"""Songs of four minutes that wait at once, through the whole service on a card: decoded, separated, encoded and stored.

All are accepted before a card is there, so that they wait together; then the service begins again with it, and the clock with its
network being ready. Of each song there is another one with the same samples and other bytes: their stems have to be equal.
"""

import argparse
import concurrent.futures
import http.client
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from gpu_results import busy
from gpu_torch import say

RATE = 44_100


class Song:
    """Songs of one length that begin at other places of the same samples."""

    def __init__(self, samples: str, minutes: float) -> None:
        import numpy as np

        frames = round(60 * minutes * RATE)
        if samples == "signal":
            floats = np.random.default_rng(1).uniform(-0.5, 0.5, (frames, 2)).astype(np.float32)
        else:
            floats = np.fromfile(samples, dtype=np.float32).reshape(-1, 2)
        self.samples = np.resize((floats.clip(-1, 1) * 32767).astype("<i2"), (frames, 2))

    def wav(self, begins_s: float, mark: int) -> bytes:
        """A WAV of 16 bits; a chunk that nobody reads makes its bytes differ."""
        import numpy as np

        sound = np.roll(self.samples, -round(begins_s * RATE), axis=0).tobytes()
        format_ = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 2, RATE, 4 * RATE, 4, 16)
        chunks = format_ + struct.pack("<4sII", b"JUNK", 4, mark) + struct.pack("<4sI", b"data", len(sound)) + sound
        return struct.pack("<4sI4s", b"RIFF", 4 + len(chunks), b"WAVE") + chunks


class Service:
    """`msaas serve` in a folder that goes away."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.arguments, self.folder, self.process = arguments, folder, None
        with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
            self.port, self.admin = one.getsockname()[1], other.getsockname()[1]
        importing = [arguments.msaas, "models", "--model-dir", str(folder / "models"), "--offline", "import", arguments.weights]
        subprocess.run([*importing, "--name", arguments.model] if arguments.model != "htdemucs" else importing, check=True, stdout=sys.stderr)

    def start(self, *options: str, says: str = "") -> None:
        """Starts it; returns when it is ready, and has written such a line."""
        this = [self.arguments.msaas, "serve", "--address", "127.0.0.1", "--port", str(self.port), "--admin-port", str(self.admin)]
        this += ["--grpc-port", "0", "--store-dir", str(self.folder / "store"), "--temp-dir", str(self.folder), "--offline"]
        this += ["--model-dir", str(self.folder / "models"), "--model", self.arguments.model, "--rate", "0", "--keep-sources", "0"]
        log = self.folder / "serve.log"
        with log.open("w") as file:
            self.process = subprocess.Popen([*this, *options], stdout=file, stderr=file)
        while not self.answers() or says not in log.read_text():
            if self.process.poll() is not None:
                sys.exit(f"msaas serve ended with {self.process.returncode}: {log.read_text()[-500:]}")
            time.sleep(0.02)

    def answers(self) -> bool:
        """Whether it takes songs."""
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/readyz", timeout=5).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """Has it end, and waits for that."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            sys.stderr.write((self.folder / "serve.log").read_text()[-20_000:])

    def submit(self, wav: bytes) -> str:
        """Sends a song; gives the job's identity."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.request("POST", "/v2/jobs?format=wav", wav, {"Content-Type": "audio/wav"})
        answer = connection.getresponse()
        job = json.loads(answer.read())
        connection.close()
        if answer.status != http.client.ACCEPTED:
            sys.exit(f"a song was answered {answer.status}: {job}")
        return job["id"]

    def job(self, identity: str) -> dict:
        """What has become of a job."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v2/jobs/{identity}", timeout=30) as answer:
            return json.load(answer)

    def device_s(self) -> float:
        """Seconds for which the device had a batch, by its own count."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=30) as answer:
            found = re.findall(r"^msaas_device_seconds_total\S* (\S+)$", answer.read().decode(), re.MULTILINE)
        return sum(map(float, found))

    def resident(self) -> int:
        """Bytes of memory that it has."""
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_text())
        return int(found[1]) << 10 if found else 0


class Watch:
    """What the driver says of a card, five times a second, in UTC."""

    QUERY = "--query-gpu=timestamp,utilization.gpu,memory.used"

    def __init__(self, uuid: str | None, path: Path) -> None:
        self.uuid, self.path, self.process = uuid, path, None
        path.unlink(missing_ok=True)
        if uuid and shutil.which("nvidia-smi"):
            this = ["nvidia-smi", f"--id={uuid}", "--loop-ms=200", self.QUERY, "--format=csv,noheader,nounits"]
            with path.open("w") as file:
                self.process = subprocess.Popen(["stdbuf", "-oL", *this], stdout=file, env=os.environ | {"TZ": "UTC"})

    def memory(self) -> int | None:
        """Bytes of the card that somebody has."""
        if not self.process:
            return None
        this = ["nvidia-smi", f"--id={self.uuid}", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
        return int(subprocess.run(this, check=True, capture_output=True, text=True).stdout) << 20

    def stop(self) -> None:
        """Ends it."""
        if self.process:
            self.process.terminate()
            self.process.wait()


def separate(service: Service, watch: Watch, waiting: list[str]) -> tuple[float, list[dict]]:
    """Waits for all jobs, and prints what memory there is at some of them; gives the time at the end, and the jobs."""
    songs, ended = len(waiting), []
    marks = [mark for mark in (songs // 10, songs // 2, songs) if mark]
    while waiting:
        # They begin in the order in which they came: those behind the first ones need no asking.
        for identity in waiting[:32]:
            job = service.job(identity)
            if job["state"] in ("succeeded", "failed", "canceled"):
                ended.append(job)
                waiting.remove(identity)
        while marks and marks[0] <= len(ended):
            say(done=marks.pop(0), resident_bytes=service.resident(), card_bytes=watch.memory())
        time.sleep(0.05)
    return time.time(), ended


def run(arguments: argparse.Namespace) -> None:
    """Subcommand `service`."""
    folder = Path(tempfile.mkdtemp(dir=arguments.scratch))
    watch = Watch(arguments.uuid, arguments.watch)
    try:
        service, song, songs = Service(arguments, folder), Song(arguments.samples, arguments.minutes), arguments.songs
        different = (songs + 1) // 2
        try:
            service.start("--no-worker")
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                send = lambda i: service.submit(song.wav(i % different * arguments.minutes / songs * 60, i))  # noqa: E731
                jobs = list(pool.map(send, range(songs)))
            service.stop()
            computing = ("--device", arguments.device, "--kernels", arguments.kernels, "--batch", str(arguments.batch))
            service.start(*computing, says="the network is ready")
            begun_s, counted = time.time(), service.device_s()
            ended_s, ended = separate(service, watch, list(jobs))
            wall_s, counted = ended_s - begun_s, service.device_s() - counted
        finally:
            service.stop()
        watched = busy(arguments.watch, begun_s, ended_s)
        by_song: dict[int, set] = {}
        for job in ended:
            stems = tuple(sorted((stem["name"], stem["sha256"]) for stem in job["stems"]))
            by_song.setdefault(jobs.index(job["id"]) % different, set()).add(stems)
        failed = [job for job in ended if job["state"] != "succeeded" or len(job["stems"]) < 1]
        say(
            songs=songs, audio_s=60 * arguments.minutes, wall_s=wall_s, song_s=wall_s / songs, failed=len(failed),
            different=sum(map(len, by_song.values())), different_songs=different, precision=arguments.kernels,
            batch=arguments.batch, device_share=counted / wall_s, watched=len(watched),
            busy_share=sum(share for share, _ in watched) / len(watched) / 100 if watched else None,
            most_card_mib=max((taken for _, taken in watched), default=None),
        )  # fmt: skip
        if failed:
            sys.exit(f"{len(failed)} of {songs} songs failed: {failed[0].get('error')}")
        if any(len(stems) > 1 for stems in by_song.values()):
            sys.exit("equal songs got different stems")
    finally:
        watch.stop()
        shutil.rmtree(folder, ignore_errors=True)
