"""The table at the end of `gpu.sh`: what was found, and which bars are met."""

import argparse
import math
import sys
from collections.abc import Callable

from gpu_results import LEAST_SNR, PARTS, Results, best, least, number
from gpu_torch import COMPILED, PRECISIONS

FASTER = 2.0
SONG_S = 240
STEMS = 8
"""Stems of the songs whose truth is known."""


class Table:
    """Lines of three columns."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self.lines: list[tuple[str, str, str]] = []

    def row(self, what: str, value: str, note: str = "") -> None:
        """Adds a line."""
        self.lines.append((what, value, note))

    def figure(self, what: str, value: object, form: str, note: str = "", factor: float = 1.0) -> None:
        """Adds a line with a figure, as `{:.2f} TB/s` says."""
        found = number(value) * factor
        self.row(what, form.format(found) if math.isfinite(found) else "not finite", note)

    def print(self) -> None:
        """Prints all of them."""
        widths = [max((len(line[column]) for line in self.lines), default=0) for column in range(2)]
        for what, value, note in self.lines:
            print(f"{what:{widths[0]}}  {value:{widths[1]}}  {note}".rstrip())


def named(row: dict) -> str:
    """Which way a row is of."""
    return ", ".join(str(row[key]) for key in ("precision", "mode") if key in row) + f", batch {row.get('batch', '?')}"


# What was found ------------------------------------------------------------------------------------


def machine(table: Table) -> None:
    """The machine, the commit and the weights."""
    results = table.results
    for name in ("gpu", "driver", "torch", "commit", "power_limit"):
        found = dict.fromkeys(str(facts[name]) for facts in results.machines if facts.get(name))
        table.row(name.replace("_", " "), ", ".join(found) or "unknown", "WARNING: more than one" if len(found) > 1 else "")
    uuids = set().union(*results.of.values())
    if len(uuids) > 1:
        table.row("card", f"{len(uuids)} of them", "WARNING: parts are of different cards")
    # Whatever the weights, the card's own rates are the same.
    weights = {whose for part, whose in results.weights.items() if part != "floor"}
    other = sorted(part for part, whose in results.weights.items() if part != "floor" and not whose.startswith("official "))
    table.row("weights", ", ".join(sorted(weights)) or "unknown", f"NOT THE REAL NETWORK'S: {', '.join(other)}" if other else "")


def floors(table: Table) -> None:
    """The card's rates, by our product and by NVIDIA's library."""
    for row in table.results.good("floor"):
        if "card" in row:
            table.row("card", row["card"])
        if "copy_bytes_s" in row:
            table.figure("copy, read and written", row["copy_bytes_s"], "{:.2f} TB/s", factor=1e-12)
        if "launch_s" in row:
            table.figure("launch in a recording", row["launch_s"], "{:.2f} us", factor=1e6)
        if "product_flop_s" in row:
            table.figure(f"our product: {row['kernel']}", row["product_flop_s"], "{:.1f} TFLOP/s", factor=1e-12)
    for row in table.results.good("torch"):
        if "flop_s" in row:
            table.figure(f"the card's product: {row['product']}", row["flop_s"], "{:.1f} TFLOP/s", factor=1e-12)


def speeds(table: Table) -> None:
    """Segments of ours beside both floors."""
    rates = {row["product"]: number(row.get("flop_s")) for row in table.results.good("torch") if "flop_s" in row}
    # Single precision is three products of TF32.
    rates = {"half": rates.get("float16", math.nan), "single": rates.get("tf32", math.nan) / 3}
    for precision in ("half", "single"):
        fastest = least(table.results.good("speed", precision=precision), "segment_s")
        if not fastest:
            continue
        segment = fastest["segment_s"]
        table.figure(f"segment, ours, {precision}", segment, "{:.3f} ms, batch " + str(fastest["batch"]), factor=1e3)
        table.figure("  of the card's memory", fastest.get("bytes"), "{:.2f} GiB", factor=2**-30)
        for floor in table.results.good("floor", precision=precision):
            memory, compute = number(floor["memory_s"]), number(floor["segment_flop"]) / rates[precision]
            found = {"our product's": number(floor["floor_s"]), "the card's": max(compute, memory)}
            for whose, least_s in found.items():
                table.figure(f"  floor at {whose} rate", least_s, "{:.3f} ms", f"reached {least_s / segment:.0%}", 1e3)
    for row in table.results.rows["speed"] + table.results.rows["song"]:
        if "error" in row:
            table.row(f"ours, {named(row)}", row["error"][:80])


def peers(table: Table) -> None:
    """PyTorch, way by way."""
    results = table.results
    for key, what in (("segment_s", "segment"), ("song_s", "song")):
        found = least(results.peers(), key)
        if found:
            table.figure(f"{what}, PyTorch at its best", found[key], "{:.3f} ms, " + named(found), factor=1e3)
    tf32 = least([row for row in results.peers() if row["precision"] == "tf32"], "segment_s")
    single = least(results.good("speed", precision="single"), "segment_s")
    if tf32 and single:
        table.figure("  PyTorch in TF32 / ours in single", tf32["segment_s"] / single["segment_s"], "{:.2f}")
    for row in results.rows["torch"]:
        if "product" in row and "error" in row:
            table.row("the card's products", row["error"][:80])
    ways = dict.fromkeys((row["precision"], row["mode"]) for row in results.rows["torch"] if "mode" in row)
    for precision, mode in ways:
        rows = [row for row in results.rows["torch"] if (row.get("precision"), row.get("mode")) == (precision, mode)]
        good = [row for row in rows if "error" not in row]
        found = least(good, "segment_s")
        if found:
            snr = number(found.get("snr_db"))
            note = f"{snr:.0f} dB from ours" if math.isfinite(snr) else "NOT COMPARED with ours"
            if found not in results.peers():
                note += ": COMPUTES SOMETHING ELSE"
            table.figure(f"  {precision}, {mode}", found["segment_s"], "{:.3f} ms, batch " + str(found["batch"]), note, 1e3)
        for row in rows:
            if "error" in row:
                table.row(f"  {precision}, {mode}, batch {row.get('batch', '?')}", row["error"][:80])


def truths(table: Table) -> None:
    """How far the results are from where they should be."""
    tests = table.results.good("tests")
    if tests:
        failed = [row["test"].rpartition("::")[2] for row in tests if row["verdict"] != "ok"]
        table.row("unit tests of the kernels", f"{len(tests) - len(failed)} of {len(tests)}", "FAILED: " + ", ".join(failed) if failed else "")
    for row in table.results.good("sanitizer"):
        table.figure("errors that the sanitizer found", row["sanitizer_errors"], "{:.0f}")
    for row in table.results.good("parity"):
        table.figure("half against the CPU", row.get("half_snr_db"), "{:.1f} dB")
        worst = [number(value) for value in row.get("half_by_stem_db", {}).values()]
        table.figure("half against single, worst stem", math.nan if any(map(math.isnan, worst)) else min(worst, default=math.nan), "{:.1f} dB")
    for row in table.results.good("sdr"):
        what = f"SDR of {row['song']}, {row['stem']}"
        note = f"half {number(row['half_sdr_db']):.3f} dB, single {number(row['single_sdr_db']):.3f} dB"
        table.figure(what, row["difference_db"], "{:+.4f} dB", note)


def kernels(table: Table) -> None:
    """Where the time goes."""
    for row in table.results.good("kernels"):
        if number(row.get("share")) >= 0.1 and "seconds" in row:
            table.figure(f"  {row['precision']}: {row['kernel']}", row["share"], "{:.0%} of a batch")


def songs(table: Table) -> None:
    """Songs alone, by the engine and by the service, and what they cost."""
    results = table.results
    song, engine, service = least(results.good("song"), "wall_s"), last(results, "engine"), last(results, "service")
    if song:
        table.figure(f"song of {song['audio_s'] / 60:g} minutes, ours", song["wall_s"], "{:.3f} s, " + named(song))
    if engine:
        table.figure(f"{engine['songs']} songs, engine only", engine["song_s"], "{:.3f} s a song, " + named(engine))
    if service:
        table.figure(f"{service['songs']} songs, the service", service["song_s"], "{:.3f} s a song, " + named(service))
        table.figure("  its own count of the device's busy time", service.get("device_share"), "{:.1%}")
        if "most_card_mib" in service:
            table.figure("  the card's memory at most", service["most_card_mib"], "{:.2f} GiB", factor=1 / 1024)
    for what, found in (("the service", service), ("the engine: without decoding and encoding", engine)):
        if found:
            cost = 1000 * number(found["song_s"])
            table.figure(f"1,000 songs, by {what}", cost, "{:.0f} s of a card", "times the price of a second")
            if table.price:
                table.figure("  at that price", cost / 3600 * table.price, "{:.4f}")


def last(results: Results, part: str) -> dict:
    """The summary of a part that is about many songs."""
    return next((row for row in reversed(results.good(part)) if "songs" in row), {})


# The bars ------------------------------------------------------------------------------------------

Verdict = tuple[str, bool | None]
"""What was found, and whether that is good; none where it was not measured."""


def parity(results: Results) -> Verdict:
    """Single precision against the CPU."""
    row = next(iter(results.good("parity")), None)
    if row is None:
        return "", None
    found = number(row.get("single_snr_db"))
    if row["of"] == "drawn":
        return f"{found:.1f} dB of drawn weights: not of the real network", None
    return decided(found, "{:.1f} dB", lambda value: value >= 70 and row.get("finite") is True)


def change(results: Results) -> Verdict:
    """What half precision changes of an SDR."""
    rows = [row for row in results.good("sdr") if "stem" in row]
    changes = [abs(number(row.get("difference_db"))) for row in rows]
    most = math.nan if any(map(math.isnan, changes)) else max(changes, default=math.nan)
    if not rows or (len(rows) < STEMS and most <= 0.03):
        return f"{len(rows)} of {STEMS} stems", None
    return decided(most, "{:.4f} dB", lambda value: value <= 0.03)


def ratio(results: Results, part: str, ours: str, theirs: str) -> Verdict:
    """PyTorch at its best to ours at its best."""
    own = results.good(part)
    peers = results.peers()
    if part == "song":
        own, peers = ([row for row in rows if number(row.get("audio_s")) == SONG_S] for rows in (own, peers))
    mine, peer = least(own, ours), least(peers, theirs)
    if not mine or not peer:
        return "", None
    whole = {row["mode"] for row in peers} >= set(COMPILED) and {row["precision"] for row in peers} >= set(PRECISIONS)
    compared = "" if "snr_db" in peer else ", peer not compared with ours"
    form = "{:.2f}" + ("" if whole else " of what finished") + compared
    return decided(peer[theirs] / mine[ours], form, lambda value: value >= FASTER)


def four_minutes(results: Results) -> Verdict:
    """A song of four minutes."""
    rows = results.good("song", audio_s=SONG_S)
    return decided(least(rows, "wall_s").get("wall_s"), "{:.3f} s", lambda value: value < 1) if rows else ("", None)


def busy(results: Results) -> Verdict:
    """How busy the driver says that the card was."""
    service = last(results, "service")
    if service.get("watched", 0) < 5:
        return "", None
    return decided(service.get("busy_share"), "{:.1%}", lambda value: value >= 0.9)


def flat(results: Results, key: str) -> Verdict:
    """What memory grows by from the 10th to the 100th song, in the service or else in the engine."""
    for part in ("service", "engine"):
        marks = {row["done"]: number(row.get(key)) for row in results.good(part) if "done" in row}
        if {10, 100} <= set(marks) and marks[10] > 0:
            return decided(marks[100] / marks[10] - 1, "{:+.1%} in the " + part, lambda value: value <= 0.05)
    return "", None


def failures(results: Results) -> Verdict:
    """Songs that the service lost."""
    service = last(results, "service")
    if not service:
        return "", None
    good = service["failed"] == 0 and service["songs"] >= 100
    return f"{service['failed']} of {service['songs']}", good or (None if service["failed"] == 0 else False)


def equal(results: Results) -> Verdict:
    """Whether equal songs got equal stems, wherever many were separated."""
    found = [row["different"] == row.get("different_songs", 1) for row in (last(results, "engine"), last(results, "service")) if row]
    return ("equal" if all(found) else "different", all(found)) if found else ("", None)


def decided(found: object, form: str, good: Callable[[float], bool]) -> Verdict:
    """A figure; one that is no number is bad."""
    value = number(found)
    return (form.format(value), good(value)) if math.isfinite(value) else ("not finite", False)


BARS: list[tuple[str, str, Callable[[Results], Verdict]]] = [
    ("single precision against the CPU", "70 dB", parity),
    ("half against single, SDR of a stem", "0.03 dB", change),
    ("PyTorch / ours, a segment", f"{FASTER} x", lambda results: ratio(results, "speed", "segment_s", "segment_s")),
    ("PyTorch / ours, a song of 4 minutes", f"{FASTER} x", lambda results: ratio(results, "song", "wall_s", "song_s")),
    ("a song of 4 minutes", "1 s", four_minutes),
    ("card busy, 100 songs in the service", "90 %", busy),
    ("resident memory, song 100 to song 10", "5 %", lambda results: flat(results, "resident_bytes")),
    ("the card's memory, song 100 to song 10", "5 %", lambda results: flat(results, "card_bytes")),
    ("failed songs in the service", "0 of 100", failures),
    ("stems of equal songs", "equal", equal),
]


def judge(table: Table) -> bool:
    """Adds a line for each bar; gives whether all are met."""
    results, met = table.results, True
    on_card = bool(results.machines) and all(str(facts.get("device")).startswith("cuda") for facts in results.machines)
    table.row("", "")
    for what, bar, find in BARS:
        try:
            found, good = find(results)
        except Exception as error:  # noqa: BLE001
            found, good = f"cannot be told: {error!r}"[:80], False
        if good is not None and not on_card:
            found, good = f"{found} on no card", None
        met &= good is True
        table.row(what, found, f"{bar}: {'NOT MEASURED' if good is None else 'met' if good else 'MISSED'}")
    return met


def run(arguments: argparse.Namespace) -> None:
    """Subcommand `table`."""
    table = Table(Results(arguments.results))
    table.price = arguments.price_per_hour
    for section in (machine, floors, truths, speeds, peers, kernels, songs):
        try:
            section(table)
        except Exception as error:  # noqa: BLE001
            table.row(section.__name__, f"cannot be told: {error!r}"[:100])
    for name in PARTS:
        if not table.results.rows[name]:
            table.row(name, "no result")
    met = judge(table)
    table.print()
    if arguments.check and not met:
        sys.exit(1)


def run_best(arguments: argparse.Namespace) -> None:
    """Subcommand `best`."""
    print(*best(Results(arguments.results)))
