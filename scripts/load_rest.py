#!/usr/bin/env python3
"""Loads a running `rest`: many large uploads at once, one large base64 body, or many small clips at a steady rate.

    load_rest.py HOST:PORT PID uploads [COUNT] [MEBIBYTES]     64 uploads of 100 MiB at once
    load_rest.py HOST:PORT PID base64 [MEBIBYTES]              one body of 280 MiB
    load_rest.py HOST:PORT PID clips [COUNT] [PER_SECOND]      6000 clips of 64 KiB, 100 a second
    load_rest.py HOST:PORT PID ends [COUNT]                    waits until that many jobs have succeeded

Songs are WAV files of noise, all different; clips ask for the vocals by the network MODEL (a variable). Every answer has to
be 2xx or 503. Prints the times of those that were taken, and VmHWM, the highest resident memory of process PID so far.
Needs nothing but Python.
"""

import base64
import collections
import http.client
import json
import os
import random
import struct
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

MIB = 1 << 20
NOISE = random.Random(1).randbytes(MIB)


def header(size_bytes):
    """44 bytes of a WAV file of 44.1 kHz, 16 bits, two channels, so many bytes long."""
    wave = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 2, 44100, 176400, 4, 16)
    return b"RIFF" + struct.pack("<I", size_bytes - 8) + wave + b"data" + struct.pack("<I", size_bytes - 44)


def song(number, size_bytes):
    """Pieces of a file; another one for each number."""
    first = header(size_bytes) + struct.pack("<Q", number) * 2
    yield first
    left = size_bytes - len(first)
    while left > 0:
        yield NOISE[:left]
        left -= MIB


def text(size_bytes):
    """Pieces of a JSON object of so many bytes with a song as base64."""
    before, behind = b'{"mp3": "', b'"}'
    song_bytes = (size_bytes - len(before) - len(behind)) // 4 * 3
    whole = song_bytes // 3 * 4 + len(before) + len(behind)
    yield whole
    yield before
    rest = b""
    for piece in song(0, song_bytes):
        rest += piece
        end = len(rest) // 3 * 3
        yield base64.b64encode(rest[:end])
        rest = rest[end:]
    yield base64.b64encode(rest) + behind


class Client:
    """Connections to the server, one for each thread."""

    def __init__(self, address):
        self.address = address
        self.own = threading.local()

    def post(self, path, kind, length, pieces):
        """Sends a body; gives whether it was taken, or told to come again later."""
        connection = getattr(self.own, "connection", None)
        # The server closes connections that nobody uses.
        if connection is None or time.monotonic() - self.own.used > 3:
            connection = self.own.connection = http.client.HTTPConnection(self.address, timeout=3600)
        connection.putrequest("POST", path)
        connection.putheader("Content-Type", kind)
        connection.putheader("Content-Length", str(length))
        connection.endheaders()
        for piece in pieces:
            connection.send(piece)
        answer = connection.getresponse()
        body = answer.read()
        self.own.used = time.monotonic()
        if answer.status == 503:
            # The rest of the body was not read: the server ends the connection.
            self.own.connection = None
        if answer.status not in (200, 202, 503):
            raise SystemExit(f"{answer.status}: {body[:300]!r}")
        return answer.status != 503

    def get(self, path):
        connection = http.client.HTTPConnection(self.address, timeout=60)
        connection.request("GET", path)
        return json.load(connection.getresponse())

    def jobs(self):
        """Every job, by pages."""
        cursor = ""
        while cursor is not None:
            page = self.get(f"/v2/jobs?limit=100&cursor={cursor}")
            yield from page["jobs"]
            cursor = page["next_cursor"]


def uploads(client, count=64, mebibytes=100):
    size_bytes = mebibytes * MIB

    def one(number):
        began = time.monotonic()
        taken = client.post("/v2/jobs", "audio/wav", size_bytes, song(number, size_bytes))
        return taken, time.monotonic() - began

    with ThreadPoolExecutor(count) as threads:
        return f"{count} uploads of {mebibytes} MiB at once", list(threads.map(one, range(count)))


def one_base64(client, mebibytes=280):
    began = time.monotonic()
    pieces = text(mebibytes * MIB)
    taken = client.post("/apiv1/separate", "application/json", next(pieces), pieces)
    return f"one base64 body of {mebibytes} MiB", [(taken, time.monotonic() - began)]


def clips(client, count=6000, per_second=100):
    path = f"/v2/jobs?format=flac&stems=vocals&model={os.environ.get('MODEL', 'htdemucs')}"
    size_bytes, begin = 64 << 10, time.monotonic() + 1

    def one(number):
        due = begin + number / per_second
        time.sleep(max(0, due - time.monotonic()))
        taken = client.post(path, "audio/wav", size_bytes, [b"".join(song(number, size_bytes))])
        # From when it was due: a server that falls behind is not excused by its own slowness.
        return taken, time.monotonic() - due

    with ThreadPoolExecutor(128) as threads:
        times = list(threads.map(one, range(count)))
    took = time.monotonic() - begin
    return f"{count} clips of 64 KiB, {per_second} a second asked for, {count / took:.1f} done", times


def ends(client, count=6000):
    """Waits until all jobs have ended, and looks at every one: each has to have succeeded."""
    began = time.monotonic()
    while client.get("/apiv1/queue")["queue"]:
        time.sleep(2)
    took = time.monotonic() - began
    states = collections.Counter(job["state"] for job in client.jobs())
    if states != {"succeeded": count}:
        raise SystemExit(f"{count} jobs were to succeed: {dict(states)}")
    return f"{count} jobs succeeded, {count / took:.1f} a second", [(True, took)]


def peak_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    address, pid, what, *numbers = sys.argv[1:]
    run = {"uploads": uploads, "base64": one_base64, "clips": clips, "ends": ends}[what]
    name, answers = run(Client(address), *map(int, numbers))
    refused = sum(not taken for taken, _ in answers)
    times = sorted(1000 * seconds for taken, seconds in answers if taken)
    at = lambda part: times[min(len(times) - 1, int(len(times) * part))]
    print(f"{name}: {len(times)} taken, {refused} told to come again; answers after {at(0.5):.0f} ms (median), {at(0.99):.0f} ms (p99), {times[-1]:.0f} ms (last);", end=" ")
    print(f"rest at most {peak_mib(pid):.0f} MiB; load of the machine {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
