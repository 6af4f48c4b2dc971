#!/usr/bin/env python3
"""What benches/gpu.sh does where no card is: nothing good is lost, nothing bad looks good, and nothing hangs.

usage: scripts/tests/gpu.py [NAME...]
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
MACHINE = {"part": "machine", "device": "cuda", "gpu": "NVIDIA H200", "uuid": "GPU-1", "commit": "abc"}
WEIGHTS = {"weights": "official", "fingerprint": "9742e764"}
PARITY = {"batch": 4, "single_snr_db": 112.0, "half_snr_db": 58.0, "half_by_stem_db": {"drums": 60.0}, "finite": True}
SPEED = {"precision": "half", "batch": 16, "segment_s": 0.001, "bytes": 1 << 30}
SONG = {"precision": "half", "batch": 42, "audio_s": 240.0, "wall_s": 0.3}
PEER = {"precision": "float16", "mode": "graph", "batch": 16, "segment_s": 0.0025, "snr_db": 55.0, "song_s": 0.9, "audio_s": 240.0}
# A program that prints what lies beside it under the name of the part, and may sleep or fail.
CARD = """#!/bin/sh
here=$(dirname "$0")
[ ! -f "$here/sleep" ] || sleep "$(cat "$here/sleep")"
[ ! -f "$here/$1" ] || cat "$here/$1"
[ ! -f "$here/fail" ]
"""
DECODE = '#!/bin/sh\nprintf 12345678 >"$2"\n'


def lines(*facts: dict) -> str:
    return "".join(json.dumps(one) + "\n" for one in facts)


class Campaign(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.programs = self.folder / "programs"
        self.programs.mkdir()
        for name, text in (("card", CARD), ("decode", DECODE)):
            self.program(self.programs / name, text)

    def program(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def gpu(self, *arguments: object, **variables: str) -> subprocess.CompletedProcess:
        this = [str(ROOT / "benches/gpu.sh"), "--store", str(self.folder / "store"), *map(str, arguments)]
        environment = {name: value for name, value in os.environ.items() if name != "OUT"} | {"MSAAS_MODEL_DIR": str(self.folder)}
        return subprocess.run(this, check=False, capture_output=True, text=True, env=environment | variables, timeout=120)

    def table(self, *files: str, check: bool = False) -> subprocess.CompletedProcess:
        paths = []
        for place, text in enumerate(files):
            paths.append(str(self.folder / f"{place}.jsonl"))
            Path(paths[-1]).write_text(text)
        this = [sys.executable, str(ROOT / "benches/gpu.py"), "table", *paths, *["--check"] * check]
        return subprocess.run(this, check=False, capture_output=True, text=True, timeout=60)

    def bar(self, table: str, what: str) -> str:
        found = [line for line in table.splitlines() if line.startswith(what)]
        self.assertEqual(len(found), 1, table)
        return found[0]

    def test_every_bar_is_in_every_table(self) -> None:
        done = self.table("", check=True)
        self.assertEqual((done.returncode, done.stdout.count("NOT MEASURED")), (1, 10), done.stdout + done.stderr)

    def test_what_is_no_number_is_missed(self) -> None:
        for bad in (None, float("nan"), float("inf")):
            text = lines(MACHINE, {"part": "parity"}, WEIGHTS, PARITY | {"single_snr_db": bad})
            bar = self.bar(self.table(text).stdout, "single precision against the CPU")
            self.assertTrue(bar.endswith("70 dB: MISSED"), bar)
        text = lines(MACHINE, {"part": "parity"}, WEIGHTS, PARITY | {"finite": False})
        self.assertIn("MISSED", self.bar(self.table(text).stdout, "single precision"))
        text = lines(MACHINE, {"part": "parity"}, WEIGHTS, PARITY)
        self.assertIn("met", self.bar(self.table(text).stdout, "single precision"))

    def test_drawn_weights_and_other_devices_meet_no_bar(self) -> None:
        text = lines(MACHINE, {"part": "parity"}, WEIGHTS | {"weights": "drawn"}, PARITY)
        self.assertIn("not of the real network", self.bar(self.table(text).stdout, "single precision"))
        text = lines(MACHINE | {"device": "emulated"}, {"part": "parity"}, WEIGHTS, PARITY)
        self.assertIn("NOT MEASURED", self.bar(self.table(text).stdout, "single precision"))

    def test_calls_are_added_up_and_a_failed_one_takes_nothing_away(self) -> None:
        first = lines(MACHINE, {"part": "speed"}, WEIGHTS, SPEED, {"part": "torch"}, PEER)
        error = {name: PEER[name] for name in ("precision", "mode", "batch")} | {"error": "no time left"}
        second = lines(MACHINE, {"part": "speed"}, WEIGHTS, {"part": "torch"}, error, {"part": "song"}, SONG)
        for files in ([first, second], [first + '{"cut o\n' + second]):
            table = self.table(*files).stdout
            self.assertIn("2.50 of what finished", self.bar(table, "PyTorch / ours, a segment"))
            self.assertIn("3.00 of what finished", self.bar(table, "PyTorch / ours, a song"))
            self.assertIn("0.300 s", self.bar(table, "a song of 4 minutes"))

    def test_a_peer_that_computes_something_else_is_none(self) -> None:
        text = lines(MACHINE, {"part": "speed"}, WEIGHTS, SPEED, {"part": "torch"}, PEER, PEER | {"mode": "eager", "segment_s": 1e-4, "snr_db": 3.0})
        table = self.table(text).stdout
        self.assertIn("2.50", self.bar(table, "PyTorch / ours, a segment"))
        self.assertIn("COMPUTES SOMETHING ELSE", table)

    def test_parts_of_different_cards_are_told(self) -> None:
        text = lines(MACHINE, {"part": "speed"}, SPEED, MACHINE | {"uuid": "GPU-2"}, {"part": "song"}, SONG)
        self.assertIn("different cards", self.table(text).stdout)

    def test_songs_that_fail_or_grow_are_missed(self) -> None:
        marks = [{"done": done, "resident_bytes": size, "card_bytes": 100} for done, size in ((10, 100), (50, 103), (100, 106))]
        songs = {"songs": 100, "song_s": 0.4, "failed": 1, "different": 50, "different_songs": 50, "watched": 99, "busy_share": 0.91}
        table = self.table(lines(MACHINE, {"part": "service"}, *marks, songs)).stdout
        for what, verdict in {"card busy": "met", "resident memory": "MISSED", "the card's memory": "met", "failed songs": "MISSED", "stems of": "met"}.items():
            self.assertTrue(self.bar(table, what).endswith(verdict), table)

    def test_a_part_that_hangs_is_ended_and_the_table_printed(self) -> None:
        (self.programs / "speed").write_text(lines(WEIGHTS, SPEED))
        (self.programs / "sleep").write_text("60")
        out = self.folder / "out"
        done = self.gpu("--programs", self.programs, "--weights", "small", "--limit-seconds", 3, "speed", "song", OUT=str(out))
        self.assertEqual(done.returncode, 1)
        self.assertTrue(done.stderr.strip().endswith("failed: speed song"), done.stderr)
        self.assertIn("NOT MEASURED", done.stdout)
        self.assertTrue((out / "results.jsonl").exists() and (out / "table.txt").exists())

    def test_results_stay_between_calls(self) -> None:
        (self.programs / "speed").write_text(lines(WEIGHTS, SPEED))
        self.assertEqual(self.gpu("--programs", self.programs, "--weights", "small", "speed").returncode, 0)
        (self.programs / "fail").touch()
        (self.programs / "speed").unlink()
        done = self.gpu("--programs", self.programs, "--weights", "small", "speed")
        self.assertEqual(done.returncode, 1)
        self.assertIn("segment, ours, half", done.stdout)

    def test_weights_come_in_parts(self) -> None:
        weights = bytes(range(256)) * 40
        pack, carried = self.folder / "pack", self.folder / "carried"
        for name, text in (("card", CARD), ("decode", DECODE), ("msaas", CARD), ("tests", CARD)):
            self.program(pack / "programs" / name, text)
            subprocess.run(["gzip", str(pack / "programs" / name)], check=True)
        (pack / "programs/commit").write_text("abc-dirty\n")
        (pack / "programs/weights.sha256").write_text(hashlib.sha256(weights).hexdigest())
        for place, half in enumerate((weights[:5000], weights[5000:])):
            (carried / f"weights.0{place}").mkdir(parents=True)
            (carried / f"weights.0{place}/part").write_bytes(half)
        first = self.gpu("--pack", pack, "none")
        self.assertIn("DRAWN", first.stderr)
        (carried / "weights.01").rename(self.folder / "later")
        second = self.gpu("--pack", carried, "none")
        self.assertIn("not all of them yet", second.stderr)
        (self.folder / "later").rename(pack / "weights.01")
        third = self.gpu("--pack", pack, "none")
        self.assertEqual((third.returncode, "DRAWN" in third.stderr), (0, False), third.stderr)
        self.assertEqual((self.folder / "store/weights.safetensors").read_bytes(), weights)
        self.assertIn("abc-dirty", third.stdout)

    def test_a_failed_build_packs_nothing(self) -> None:
        self.program(self.folder / "bin/cargo", "#!/bin/sh\nexit 101\n")
        self.program(self.folder / "cuda/bin/nvcc", "#!/bin/sh\n")
        variables = {"PATH": f"{self.folder}/bin:{os.environ['PATH']}", "CUDA_HOME": str(self.folder / "cuda")}
        done = self.gpu("pack", self.folder / "pack", **variables)
        self.assertEqual(done.returncode, 101)
        self.assertFalse((self.folder / "pack").exists())


if __name__ == "__main__":
    unittest.main()
