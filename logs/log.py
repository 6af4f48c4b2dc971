#!/usr/bin/env python3
"""Prints the log lines of all pods as they come: takes them off the list `logging` in Redis.

REDIS_HOST and REDIS_PORT name the server (default localhost, 6379; tcp://host:port is understood),
REDIS_PASSWORD its password. Needs nothing but Python.
"""

import os
import socket
import sys

LIST = "logging"


def address():
    host, port = os.environ.get("REDIS_HOST") or "localhost", os.environ.get("REDIS_PORT") or "6379"
    if port.startswith("tcp://"):
        injected, port = port[len("tcp://"):].rsplit(":", 1)
        host = os.environ.get("REDIS_HOST") or injected
    return host, int(port)


class Redis:
    """As much of the protocol as a reader of one list needs."""

    def __init__(self, host, port):
        self.socket = socket.create_connection((host, port), timeout=10)
        # The list may stay empty for as long as it likes.
        self.socket.settimeout(None)
        self.lines = self.socket.makefile("rb")

    def call(self, *words):
        words = [word.encode() for word in words]
        head = b"*%d\r\n" % len(words)
        self.socket.sendall(head + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
        return self.answer()

    def answer(self):
        line = self.lines.readline()
        if not line:
            raise ConnectionError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise ConnectionError(rest.decode(errors="replace"))
        if kind == b"$":
            size = int(rest)
            return None if size < 0 else self.lines.read(size + 2)[:-2]
        if kind == b"*":
            return None if int(rest) < 0 else [self.answer() for _ in range(int(rest))]
        return rest


def main():
    if sys.argv[1:]:
        print(__doc__.strip())
        return
    host, port = address()
    try:
        redis = Redis(host, port)
        if os.environ.get("REDIS_PASSWORD"):
            redis.call("AUTH", os.environ["REDIS_PASSWORD"])
        while True:
            popped = redis.call("BLPOP", LIST, "0")
            if popped:
                print(popped[1].decode(errors="replace"), flush=True)
    except OSError as error:
        sys.exit(f"{host}:{port}: {error}")
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
