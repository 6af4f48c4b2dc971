#!/usr/bin/env python3
"""Sends songs of data/ to a running service, waits for their stems and saves them.

usage: sample-requests.py [--no-wait] [FILE ...]     default: every data/*.mp3

REST=host:port names the server (default localhost:5000), OUT the folder of the stems (default stems).
Needs nothing but Python.
"""

import base64
import glob
import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.request

REST = (os.environ.get("REST") or "localhost:5000").rstrip("/")
OUT = os.environ.get("OUT") or "stems"
TRACKS = ["drums", "bass", "other", "vocals"]
GIVE_UP_AFTER_S = 3600
# A service that starts again is waited for.
AWAY_FOR_S = 300
AWAY = [429, 502, 503, 504]


class Away(Exception):
    """The server cannot be reached, or not now."""


def ask(method, path, body=None):
    """Sends one request with a JSON body and gives what came back, decoded where it is JSON."""
    try:
        request = urllib.request.Request(
            (REST if "://" in REST else f"http://{REST}") + path,
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            content = answer.read()
            is_json = answer.headers.get_content_type() == "application/json"
            return json.loads(content) if is_json else content
    except urllib.error.HTTPError as error:
        if error.code not in AWAY:
            raise
        raise Away(refusal(error)) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = getattr(error, "reason", None) or error
        raise Away(f"{REST} cannot be reached: {why or type(error).__name__}") from error


def refusal(error):
    """What the server said that it does not do, and why."""
    try:
        why = error.read().decode(errors="replace").strip()
    except (OSError, http.client.HTTPException):
        why = error.reason
    return f"{REST} answered {error.code}: {why}"


def patiently(method, path):
    """The same for a request that changes nothing: again and again where the server is away for a while."""
    give_up_at = time.monotonic() + AWAY_FOR_S
    while True:
        try:
            return ask(method, path)
        except Away:
            if time.monotonic() > give_up_at:
                raise
        time.sleep(1)


def member(answer, name):
    """A member of an answer of this service."""
    if not isinstance(answer, dict) or name not in answer:
        sys.exit(f"{REST} does not answer as this service does: there is no {name}")
    return answer[name]


def show(answer):
    print(json.dumps(answer, indent=4), flush=True)


def separate(path):
    """Sends a song; gives the hash under which its stems will be."""
    with open(path, "rb") as song:
        mp3 = base64.b64encode(song.read()).decode()
    callback = {
        "url": "http://localhost:5000",
        "data": {"mp3": os.path.basename(path), "data": "to be returned"},
    }
    answer = ask("POST", "/apiv1/separate", {"mp3": mp3, "callback": callback})
    songhash = member(answer, "hash")
    show(answer)
    return songhash


def track(songhash, name):
    """The bytes of a stem; none while it is not there."""
    try:
        return patiently("GET", f"/apiv1/track/{songhash}/{name}.mp3")
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise


def save(path, songhash):
    """Waits for the stems of a song and saves them in a folder of its name."""
    folder = os.path.join(OUT, os.path.splitext(os.path.basename(path))[0])
    os.makedirs(folder, exist_ok=True)
    give_up_at = time.monotonic() + GIVE_UP_AFTER_S
    for name in TRACKS:
        while (stem := track(songhash, name)) is None:
            if time.monotonic() > give_up_at:
                sys.exit(f"{path}: no {name} after {GIVE_UP_AFTER_S} s")
            queue = member(patiently("GET", "/apiv1/queue"), "queue")
            if songhash not in queue and track(songhash, name) is None:
                sys.exit(f"{path}: the service has given it up; its log says why")
            time.sleep(1)
        target = os.path.join(folder, f"{name}.mp3")
        with open(target, "wb") as file:
            file.write(stem)
        print(target, flush=True)


def main(pattern):
    arguments = sys.argv[1:]
    if "-h" in arguments or "--help" in arguments:
        print(__doc__.strip())
        return
    unknown = [a for a in arguments if a.startswith("-") and a != "--no-wait"]
    if unknown:
        sys.exit(f"there is no option {unknown[0]}; --help names those that there are")
    if "://" in REST and not REST.startswith(("http://", "https://")):
        sys.exit(f"REST={REST} is no address of a server: host:port is expected")
    waits = "--no-wait" not in arguments
    here = os.path.dirname(os.path.abspath(__file__))
    songs = [a for a in arguments if a != "--no-wait"] or sorted(glob.glob(os.path.join(here, pattern)))
    if not songs:
        sys.exit(f"there is no {pattern}")
    try:
        sent = [(song, separate(song)) for song in songs]
        show(ask("GET", "/apiv1/queue"))
        for song, songhash in sent if waits else []:
            save(song, songhash)
    except urllib.error.HTTPError as error:
        sys.exit(refusal(error))
    except Away as error:
        sys.exit(str(error))
    except OSError as error:
        # Of a song or of the folder of stems: what the server says comes otherwise.
        sys.exit(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except KeyboardInterrupt:
        sys.exit("stopped; songs that were sent are separated all the same")


if __name__ == "__main__":
    main("data/*.mp3")
