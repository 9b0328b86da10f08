"""One run: prepares what is needed, starts a server for a row, lets the load generator loose on it, stops it again."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import material
from rows import DENIED, LARGE, READ, SMALL, Row
from sandbox import Failed, Process, free_port
from servers import Ports, Servers, on_core

Json = dict[str, Any]

# Requests for tokens that are signed for each second; when they are used up, the interval ends early.
TOKEN_REQUESTS = 2500

# How much of a token response is the same each time.
SAME = 40


@dataclass
class Options:
    seconds: float
    settle: float
    connections: int
    core: int
    other_core: int


class Bench:
    def __init__(self, folder: Path, binaries: Path, options: Options) -> None:
        self.folder, self.binaries, self.options = folder, binaries, options
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.ports = Ports(free_port(), free_port(), free_port())
        self.url = f"http://127.0.0.1:{self.ports.proxy}"
        self.host = f"127.0.0.1:{self.ports.proxy}"
        self.servers = Servers(folder, binaries, self.ports, options.core, options.other_core)
        self.bodies = material.write_resources(folder / "files", f"http://127.0.0.1:{self.ports.upstream}/fhir")
        self._keys()
        self.requests = self._requests()
        self.upstream = self.servers.upstream()

    def _keys(self) -> None:
        self.service, jwks = material.service_key()
        (self.servers.home("smartgate") / "service.json").write_text(json.dumps(jwks))
        # Once, so that the gate makes its keys.
        self.servers.start("smartgate").stop()
        self.kid, self.key = material.gate_key(self.servers.home("smartgate") / "state" / "smartgate.db")
        (self.folder / "es256.pem").write_bytes(material.public_pem(self.key))
        self.rs256 = material.rsa_key()
        (self.folder / "rs256.pem").write_bytes(material.public_pem(self.rs256))

    def _requests(self) -> dict[str, Path]:
        each = range(material.TOKENS)
        patient = [self.patient_token() for _ in each]
        system = [material.access_token(material.system_claims(self.url), self.key, self.kid) for _ in each]
        foreign = [material.access_token(material.patient_claims(self.url), self.rs256, "rs256", "RS256") for _ in range(1000)]
        asked = {
            "read": (READ, patient), "small": (SMALL, patient), "large": (LARGE, patient), "denied": (DENIED, patient),
            "read-system": (READ, system), "read-rs256": (READ, foreign),
        }
        return {name: self.write(name, target, tokens) for name, (target, tokens) in asked.items()}

    def patient_token(self, scopes: tuple[str, ...] = material.SCOPES) -> str:
        return material.access_token(material.patient_claims(self.url, scopes), self.key, self.kid)

    def write(self, name: str, target: str, tokens: list[str]) -> Path:
        requests = [material.get(target, self.host, token) for token in tokens]
        return material.write_requests(self.folder / f"{name}.requests", requests)

    def row(self, row: Row) -> Json:
        """Measures one row once."""
        if not row.server:
            return self.signatures()
        process = self.servers.start(row.server)
        try:
            return self.measure(process, row)
        finally:
            process.stop()

    def measure(self, process: Process, row: Row, extra: list[str] | None = None) -> Json:
        if row.asks == "token":
            requests, extra = self.token_requests(), ["--once", "--same", str(SAME), *(extra or [])]
        else:
            requests = self.requests[row.asks]
        if row.is_gate and row.asks != "token":
            self.warm(process, "read-system" if row.asks == "read-system" else "read")
        body = self.folder / f"{row.name}.body"
        # An assertion counts once.
        first = material.token_request(self.url, self.host, self.service) if row.asks == "token" else material.first(requests)
        body.write_bytes(self.checked(row, first))
        before = self.cache() if row.is_gate else None
        measured = self.load(process, requests, body, row.status, extra or [])
        if before:
            measured["token_cache"] = hit_ratio(before, self.cache())
        return measured

    def warm(self, process: Process, asks: str) -> None:
        """Gets every token into the cache; a read is the quickest way."""
        self.load(process, self.requests[asks], self.bodies["read"], 200, ["--once", "--settle", "0", "--seconds", "600"])

    def load(self, process: Process, requests: Path, body: Path, status: int, extra: list[str]) -> Json:
        options, processes = self.options, self.servers.processes(process)
        command = [
            self.binaries / "load", "--address", self.host, "--requests", requests, "--body", body, "--status", status,
            "--connections", options.connections, "--settle", options.settle, "--seconds", options.seconds,
            "--processes", ",".join(map(str, processes)), "--cores", f"{options.core},{options.other_core}", *extra,
        ]
        with on_core(options.other_core):
            done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed(f"{process.name}: {done.stderr}\n{process.last_words()}")
        measured = json.loads(done.stdout)
        measured["throughput"] = measured["requests"] / measured["seconds"]
        measured["capacity"] = measured["answered"] / max(measured["cpu_seconds"], 0.01)
        return measured

    def checked(self, row: Row, request: bytes) -> bytes:
        """The body of a first answer, once it was found to be right."""
        head, _, form = request.partition(b"\r\n\r\n")
        first, *fields = head.decode().split("\r\n")
        method, target, _ = first.split(" ")
        connection = http.client.HTTPConnection("127.0.0.1", self.ports.proxy, timeout=30)
        connection.request(method, target, form or None, dict(field.split(": ", 1) for field in fields))
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        kind = answer.getheader("Content-Type", "")
        if answer.status != row.status or not (kind.startswith("application/fhir+json") or row.body == "token"):
            raise Failed(f"{row.name}: {answer.status} {kind}: {body[:500]!r}")
        self.is_right(row, body)
        return body

    def is_right(self, row: Row, body: bytes) -> None:
        match row.body:
            case "read" | "small" | "large":
                right = body == self.bodies[row.body].read_bytes()
            case "bundle":
                right = is_moved(json.loads(self.bodies[row.asks].read_bytes()), json.loads(body), self.ports.upstream, self.ports.proxy)
            case "outcome":
                right = json.loads(body)["resourceType"] == "OperationOutcome"
            case "token":
                right = json.loads(body)["scope"] == "system/*.rs"
            case _:
                right = True
        if not right:
            raise Failed(f"{row.name}: not the body that was expected: {body[:500]!r}")

    def token_requests(self) -> Path:
        seconds = self.options.seconds + self.options.settle
        requests = [material.token_request(self.url, self.host, self.service) for _ in range(int(seconds * TOKEN_REQUESTS))]
        return material.write_requests(self.folder / "token.requests", requests)

    def cache(self) -> dict[str, float]:
        """What the gate counted of its token cache."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports.admin}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        counted = [line.rsplit(" ", 1) for line in lines if "token_cache" in line and not line.startswith("#")]
        return {name: float(value) for name, value in counted}

    def signatures(self) -> Json:
        with on_core(self.options.core):
            done = subprocess.run([self.binaries / "signatures", str(self.options.seconds)], capture_output=True, text=True, check=True)
        return {"capacity": float(done.stdout)}

    def stop(self) -> None:
        self.upstream.stop()


def is_moved(source: Json, answer: Json, upstream: int, proxy: int) -> bool:
    """Whether the gate's Bundle has each entry of the upstream's with nothing but its URL changed."""
    moved = json.loads(json.dumps(source["entry"]).replace(f"127.0.0.1:{upstream}/", f"127.0.0.1:{proxy}/"))
    return answer["resourceType"] == "Bundle" and answer["entry"] == moved and answer.get("total") == source["total"]


def hit_ratio(before: dict[str, float], after: dict[str, float]) -> float | None:
    grown = {name: value - before.get(name, 0) for name, value in after.items()}
    hits = sum(value for name, value in grown.items() if "hit" in name)
    return hits / sum(grown.values()) if sum(grown.values()) else None
