#!/usr/bin/env python3
"""Holds dashboard, alerts and documents against what a running Prometheus has scraped from the service.

    observability.py REST PROMETHEUS      both as HOST:PORT

Sends songs first, so that every stage of a job has been measured. Part of scripts/observability.sh.
"""

import http.client
import json
import random
import re
import struct
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import promql_parser as promql

ROOT = Path(__file__).resolve().parent.parent
RULES = ROOT / "k8s/observability"
PATIENCE_S = 60
STAGES = {"receive", "accept", "queued", "decode", "separate", "join", "mix", "store", "keep", "callback", "whole"}
KINDS = {"plan", "span", "merge", "derive"}


def song(seconds):
    """A WAV file of noise, 8 kHz, 16 bits, two channels."""
    samples = random.Random(1).randbytes(seconds * 8000 * 4)
    wave = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 2, 8000, 32000, 4, 16)
    return b"RIFF" + struct.pack("<I", len(samples) + 36) + wave + b"data" + struct.pack("<I", len(samples)) + samples


class Service:
    def __init__(self, address):
        self.address = address

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection(self.address, timeout=PATIENCE_S)
        connection.request(method, path, body, {"Content-Type": "audio/wav"})
        return json.load(connection.getresponse())

    def ended(self, body, **options):
        """The job of a song, once it has ended."""
        options = {"model": "htdemucs_6s", "callback": f"http://{self.address}/", **options}
        job = self.call("POST", f"/v2/jobs?{urllib.parse.urlencode(options)}", body)
        return until(f"job {job}", lambda: self.ended_now(job["id"]))

    def ended_now(self, job):
        view = self.call("GET", f"/v2/jobs/{job}")
        return view if view["state"] in ("succeeded", "failed", "canceled") else None


class Prometheus:
    def __init__(self, address):
        self.address = f"http://{address}/api/v1"

    def get(self, path, **query):
        try:
            answer = urllib.request.urlopen(f"{self.address}/{path}?{urllib.parse.urlencode(query)}", timeout=10)
        except urllib.error.HTTPError as error:
            raise ValueError(error.read().decode()) from error
        return json.load(answer)["data"]

    def ask(self, query):
        """What an expression gives now."""
        return self.get("query", query=query)["result"]

    def gives(self, query):
        """Whether an expression gives something; a rate does from the second sample on."""
        end = time.monotonic() + 5
        while not (found := self.ask(query)) and time.monotonic() < end:
            time.sleep(0.5)
        return bool(found)

    def values(self, query, label):
        return {one["metric"].get(label) for one in self.ask(query)}


def until(what, holds):
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            if found := holds():
                return found
        except OSError:
            pass
        time.sleep(0.2)
    sys.exit(f"{what} is not there after {PATIENCE_S} s")


def use(service, prometheus):
    """Lets every stage of a job and every kind of task happen."""
    # Before anything is counted.
    until("every target", lambda: len(prometheus.ask("up == 1")) == 3)
    divided = service.ended(song(20), format="flac")
    assert divided["state"] == "succeeded", divided
    # Before its sources are kept, another format would be made by a plan.
    until("kept sources", lambda: "keep" in prometheus.values("msaas_job_seconds_count", "stage"))
    derived = service.ended(song(20), format="wav")
    assert derived["state"] == "succeeded", derived
    bad = service.ended(b"fLaC\x80\x00\x00\x22" + bytes(600))
    assert bad["state"] == "failed", bad


def selectors(expression):
    """The vector selectors of an expression."""
    if isinstance(expression, promql.VectorSelector):
        yield expression
    for name in ("lhs", "rhs", "expr", "param", "vector_selector", "args"):
        part = getattr(expression, name, None)
        for child in part if isinstance(part, list) else [part]:
            if isinstance(child, promql.Expr):
                yield from selectors(child)


def missing_of(prometheus, query):
    """What an expression names and Prometheus does not have: names, labels, values of labels."""
    for selector in selectors(promql.parse(query)):
        if not prometheus.ask(selector.name):
            yield selector.name
        for matcher in selector.matchers.matchers:
            exact = matcher.op in (promql.MatchOp.Equal, promql.MatchOp.NotEqual)
            wanted = f'{selector.name}{{{matcher.name}="{matcher.value}"}}' if exact else f'{selector.name}{{{matcher.name}!=""}}'
            if not prometheus.ask(wanted):
                yield wanted


def dashboard():
    for panel in json.loads((RULES / "dashboard.json").read_text())["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def anchors(path):
    """The places that a document's headings and bold beginnings of paragraphs make."""
    lines = (ROOT / path).read_text().splitlines()
    headings = (line.lstrip("# ") for line in lines if line.startswith("#"))
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def named():
    """Figures that documents and manifests name, with one place of each."""
    files = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    for folder in ("k8s", "helm"):
        files += [file for file in (ROOT / folder).rglob("*") if file.suffix in (".yaml", ".json", ".tpl", ".txt", ".md")]
    return {name: file.relative_to(ROOT) for file in files for name in re.findall(r"\bmsaas_[a-z_]+[a-z]\b", file.read_text())}


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    service, prometheus = Service(sys.argv[1]), Prometheus(sys.argv[2])
    use(service, prometheus)
    until("every stage", lambda: STAGES <= prometheus.values("msaas_job_seconds_count", "stage"))
    until("every kind of task", lambda: KINDS <= prometheus.values("msaas_task_seconds_count", "kind"))
    # A rate wants two values.
    until("a rate", lambda: prometheus.ask('rate(msaas_callbacks_total{outcome="told"}[5m]) > 0'))

    wrong = []
    targets = prometheus.get("targets")["activeTargets"]
    wrong += [f"{target['scrapeUrl']} is {target['health']}: {target['lastError']}" for target in targets if target["health"] != "up"]
    have = {re.sub(r"_(bucket|sum|count)$", "", name) for name in prometheus.get("label/__name__/values") if name.startswith("msaas_")}
    told = named()
    wrong += [f"{told[name]} names {name}, which nothing has" for name in told if re.sub(r"_(bucket|sum|count)$", "", name) not in have]
    wrong += [f"nothing tells of {name}" for name in have - set(told)]

    queries = list(dashboard())
    for title, query in queries:
        try:
            if not prometheus.gives(query):
                wrong.append(f"dashboard, {title}: {query} gives nothing")
        except ValueError as error:
            wrong.append(f"dashboard, {title}: {query}: {error}")

    alerts = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    tests = (RULES / "alerts.test.yaml").read_text()
    for alert in alerts:
        name, query = alert["name"], alert["query"]
        if alert["health"] != "ok":
            wrong.append(f"alert {name}: {alert['health']} {alert.get('lastError')}")
        wrong += [f"alert {name}: nothing has {missing}" for missing in missing_of(prometheus, query)]
        seen = re.findall(rf"alertname: {name}\b(\n +exp_alerts)?", tests)
        if not any(seen) or all(seen):
            wrong.append(f"alert {name}: no test sees it fire and be silent")
        document, _, anchor = alert["annotations"]["runbook"].partition("#")
        if anchor not in anchors(document):
            wrong.append(f"alert {name}: {document} has no #{anchor}")
    if len(alerts) < 10 or len(queries) < 20:
        wrong.append(f"only {len(alerts)} alerts and {len(queries)} queries were found")

    print("\n".join(wrong) or f"{len(queries)} queries, {len(alerts)} alerts, {len(have)} figures: all there")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
