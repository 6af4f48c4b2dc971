"""What the parts of `gpu.sh` wrote, of one call or of many."""

import contextlib
import datetime
import json
import math
from pathlib import Path

PARTS = ["floor", "parity", "tests", "sanitizer", "sdr", "speed", "kernels", "song", "engine", "service", "torch"]
ADDED = {"speed", "song", "torch", "sdr"}
"""Parts whose rows of several calls are one table; of the others the last call that came to something counts."""
LEAST_SNR = 20.0
"""What is nearer to ours than so many dB computes the same network, if with fewer bits."""


def number(value: object) -> float:
    """A figure; not a number where there is none."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan


def identity(row: dict) -> tuple:
    """What a row is about."""
    named = [(name, row[name]) for name in ("precision", "mode", "batch", "song", "stem", "product") if name in row]
    return tuple(named) or tuple(sorted(row))


class Results:
    """The rows of all parts, and the machines and commits that they are of."""

    def __init__(self, paths: list[Path]) -> None:
        self.machines: list[dict] = []
        self.of: dict[str, set[str]] = {name: set() for name in PARTS}
        self.rows: dict[str, list[dict]] = {name: [] for name in PARTS}
        self.weights: dict[str, str] = {}
        for path in paths:
            self.read(path)

    def read(self, path: Path) -> None:
        """Adds a file, or that of a folder."""
        path = path / "results.jsonl" if path.is_dir() else path
        if not path.exists():
            return
        part, rows, machine = "", [], {}
        for line in path.read_text(errors="replace").splitlines():
            try:
                facts = json.loads(line)
            except json.JSONDecodeError:
                continue
            if not isinstance(facts, dict):
                continue
            if "part" not in facts:
                rows.append(facts)
                continue
            self.add(part, rows, machine)
            part, rows = facts["part"], []
            if part == "machine":
                machine = facts
                self.machines.append(facts)
        self.add(part, rows, machine)

    def add(self, part: str, rows: list[dict], machine: dict) -> None:
        """Adds what one call of a part came to; nothing good is lost by a call that failed."""
        whose = next((row for row in rows if "weights" in row), {})
        rows = [row for row in rows if "weights" not in row]
        if part not in self.rows or not rows:
            return
        if whose:
            self.weights[part] = f"{whose['weights']} {str(whose.get('fingerprint'))[:8]}"
        for row in rows:
            row["of"] = whose.get("weights")
        good = {identity(row) for row in rows if "error" not in row}
        old = self.rows[part]
        if part in ADDED:
            # An error says something only where nothing better is known.
            known = {identity(row) for row in old if "error" not in row}
            new = {identity(row) for row in rows if "error" not in row or identity(row) not in known}
            tried = {row.get("precision") for row in rows if "error" not in row}
            kept = [row for row in old if identity(row) not in new and not ("error" in row and row.get("precision") in tried)]
            self.rows[part] = kept + [row for row in rows if identity(row) in new]
        elif good or not old:
            self.rows[part] = rows
        if good:
            uuid = machine.get("uuid") or machine.get("device") or "unknown"
            self.of[part] = self.of[part] | {uuid} if part in ADDED else {uuid}

    def good(self, part: str, **wanted: object) -> list[dict]:
        """Rows of a part that are no errors, and say what is wanted."""
        rows = [row for row in self.rows[part] if "error" not in row]
        return [row for row in rows if all(row.get(name) == value for name, value in wanted.items())]

    def peers(self) -> list[dict]:
        """PyTorch's rows that compute the same network."""
        rows = [row for row in self.good("torch") if "mode" in row]
        return [row for row in rows if "snr_db" not in row or number(row["snr_db"]) >= LEAST_SNR]


def least(rows: list[dict], key: str) -> dict:
    """The row with the smallest figure above 0."""
    rows = [row for row in rows if number(row.get(key)) > 0 and math.isfinite(number(row.get(key)))]
    return min(rows, key=lambda row: row[key], default={})


def best(results: Results) -> tuple[str, int]:
    """Precision and batch of ours that songs, or else segments, are fastest with."""
    found = least(results.good("song"), "wall_s") or least(results.good("speed"), "segment_s")
    return found.get("precision", "half"), found.get("batch", 16)


def busy(path: Path, begun_s: float, ended_s: float) -> list[tuple[float, float]]:
    """Per cent of time that the driver says the card was busy, and MiB that it had taken, between two times in UTC."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else []:
        cells = [cell.strip() for cell in line.split(",")]
        with contextlib.suppress(ValueError, IndexError):
            at = datetime.datetime.strptime(cells[0], "%Y/%m/%d %H:%M:%S.%f").replace(tzinfo=datetime.UTC)
            # The first second of what it says is of what was before.
            if begun_s + 1 <= at.timestamp() <= ended_s:
                found.append((float(cells[1]), float(cells[2])))
    return found
