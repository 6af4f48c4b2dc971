#!/usr/bin/env python3
"""What the sample clients say where something is wrong, and that they wait for a service that is away for a moment.

usage: scripts/tests/samples.py [NAME...]
"""

import http.server
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
SONG = os.path.join(REPOSITORY, "data", "short-sample.mp3")
SCRIPTS = ["sample-requests.py", "short-sample-requests.py"]


class Service(http.server.BaseHTTPRequestHandler):
    """As much of a service as the clients ask for; `faults` are what its next answers to GET are instead."""

    faults = []

    def answer(self, content, kind="application/json", status=200):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(json.dumps({"hash": "0" * 64}).encode())

    def do_GET(self):
        if self.path.startswith("/apiv1/track/") and self.faults:
            return self.faults.pop(0)(self)
        if self.path == "/apiv1/queue":
            return self.answer(b'{"queue": []}')
        return self.answer(b"a stem", "audio/mpeg")

    def log_message(self, *_):
        """Says nothing."""


def reset(service):
    """The connection is gone at once."""
    service.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    service.connection.close()
    service.wfile = open(os.devnull, "wb")


def silent(service):
    """The connection ends without an answer."""
    service.close_connection = True


def short(service):
    """The answer breaks off."""
    service.send_response(200)
    service.send_header("Content-Length", "1000")
    service.end_headers()
    service.close_connection = True


def full(service):
    """It is too much at the moment."""
    service.answer(b'{"error": "Too many."}', status=503)


class Samples(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def serve(self, faults=()):
        """A service of this kind; gives its address."""
        handler = type("Handler", (Service,), {"faults": list(faults)})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.handle_error = lambda *_: None
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"127.0.0.1:{server.server_port}"

    def run_script(self, *arguments, rest, script=SCRIPTS[0], out="stems"):
        out = os.path.join(self.folder.name, out)
        environment = {"PATH": os.environ["PATH"], "REST": rest, "OUT": out}
        command = [sys.executable, os.path.join(REPOSITORY, script), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    def fails(self, *arguments, saying, **settings):
        for script in SCRIPTS:
            ran = self.run_script(*arguments, script=script, **settings)
            self.assertEqual((ran.returncode, ran.stderr.count("\n")), (1, 1), ran.stderr)
            self.assertIn(saying, ran.stderr)

    def test_mistakes_are_told_in_a_sentence(self):
        rest = self.serve()
        self.fails("none.mp3", rest=rest, saying="none.mp3: No such file")
        self.fails(self.folder.name, rest=rest, saying="directory")
        self.fails("--nowait", rest=rest, saying="there is no option --nowait")
        self.fails("-x", SONG, rest=rest, saying="there is no option -x")
        self.fails(SONG, rest="ftp://localhost", saying="no address")
        self.fails(SONG, rest="localhost:port", saying="cannot be reached")
        self.fails(SONG, rest="local host", saying="cannot be reached")
        open(os.path.join(self.folder.name, "file"), "w").close()
        self.fails(SONG, rest=rest, out="file/stems", saying="Not a directory")

    def test_a_server_that_is_not_there_is_told_in_a_sentence(self):
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            self.fails(SONG, rest=f"127.0.0.1:{nobody.getsockname()[1]}", saying="refused")

    def test_a_server_of_another_kind_is_told_in_a_sentence(self):
        for answer, kind in [(b"[]", "application/json"), (b"{", "application/json"), (b"<html>", "text/html")]:
            Other = type("Other", (Service,), {"do_POST": lambda self: self.answer(answer, kind)})
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            rest = f"127.0.0.1:{server.server_port}"
            self.fails(SONG, rest=rest, saying=rest)
            server.shutdown()
            server.server_close()

    def test_a_scheme_may_stand_before_the_host(self):
        for slash in ["", "/"]:
            ran = self.run_script(SONG, rest=f"http://{self.serve()}{slash}")
            self.assertEqual((ran.returncode, ran.stderr), (0, ""))
            self.assertEqual(ran.stdout.count("vocals.mp3"), 1)

    def test_a_service_that_is_away_for_a_moment_is_waited_for(self):
        for fault in [reset, silent, short, full]:
            ran = self.run_script(SONG, rest=self.serve([fault, fault]), out=fault.__name__)
            self.assertEqual((ran.returncode, ran.stderr), (0, ""), fault.__name__)
            with open(os.path.join(self.folder.name, fault.__name__, "short-sample", "drums.mp3"), "rb") as stem:
                self.assertEqual(stem.read(), b"a stem")


if __name__ == "__main__":
    unittest.main()
