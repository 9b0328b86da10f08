"""Groups of rows that ask something else than how fast: memory, logins beside reads, and whether the cost is flat."""

from __future__ import annotations

import http.cookiejar
import itertools
import os
import re
import sqlite3
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import material
from bench import Bench
from instructions import instructions
from rows import BY_NAME, READ
from sandbox import Failed, Process
from servers import PASSWORD, PASSWORD_HASH, on_core

Json = dict[str, Any]
Lines = list[tuple[str, str]]

IDLE = 10_000
LOGINS = 20

# Reads a second beside logins: a load that leaves the core time for them.
READS = 2000

CLIENTS = 100_000
REVOCATIONS = 1_000_000
SCOPES = 500

READ_ROW = BY_NAME["gate-read"]


def gate(bench: Bench, more: str = "") -> Process:
    servers = bench.servers
    return servers.run("smartgate", servers.smartgate(more), bench.ports.proxy, servers.core)


def memory(bench: Bench, _rounds: int) -> Lines:
    """Resident memory before the first request, and with many connections that say nothing; bare pingora's beside it."""
    before, idle = holding(bench, gate(bench))
    bare_before, bare_idle = holding(bench, bench.servers.start("pingora"))
    return [
        ("idle, MB (at most 30)", f"{before:.1f}"), (f"{IDLE:,} idle connections, MB (at most 150)", f"{idle:.1f}"),
        ("bare pingora, idle, MB", f"{bare_before:.1f}"), (f"bare pingora, {IDLE:,} idle connections, MB", f"{bare_idle:.1f}"),
    ]


def holding(bench: Bench, process: Process) -> tuple[float, float]:
    """Resident MB before the first request, and with connections that were used once and are silent."""
    try:
        before = resident(process)
        body = bench.folder / "memory.body"
        body.write_bytes(bench.checked(READ_ROW, material.first(bench.requests["read"])))
        short = ["--idle", str(IDLE), "--settle", "0", "--seconds", "0.5", "--connections", "1"]
        idle = bench.load(process, bench.requests["read"], body, 200, short)
    finally:
        process.stop()
    return before / 1024, idle["resident_kb"] / 1024


def resident(process: Process) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1])


def logins(bench: Bench, rounds: int) -> Lines:
    """Reads at a steady rate, without and with people who log in: their passwords are hashed on the same core."""
    paced = ["--rate", str(READS)]
    alone, beside, done = [], [], []
    for _ in range(rounds):
        process = gate(bench, users())
        try:
            alone.append(bench.measure(process, READ_ROW, paced))
            with on_core(bench.options.other_core), People(bench.url) as people:
                beside.append(bench.measure(process, READ_ROW, paced))
            done.append(people.rate())
        finally:
            process.stop()
    without, busy = (median(one["p99_us"] for one in some) for some in (alone, beside))
    return [
        (f"p99 of {READS:,} reads a second, µs", f"{without:,.0f}"),
        (f"p99 beside {median(done):.1f} logins a second, µs", f"{busy:,.0f}"),
        ("ratio (at most 1.5)", f"{busy / without:.2f}"),
    ]


def users() -> str:
    """A user for each of them: ten logins of one at a time would be taken for guessing."""
    one = '[[users]]\nusername = "amy-{}"\npassword_hash = "{}"\nfhir_user = "Patient/amy"\n'
    return "".join(one.format(number, PASSWORD_HASH) for number in range(LOGINS))


class People:
    """Logs in, `LOGINS` times a second, as a browser would. People are not on the core of the load generator and the FHIR server;
    these are, and give way to both, or what was measured would be how those wait for them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.end = threading.Event()
        self.count, self.wrong = 0, ""
        self.threads = [threading.Thread(target=self._person, args=(number,)) for number in range(LOGINS)]

    def __enter__(self) -> People:
        self.began = time.monotonic()
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end.set()
        for thread in self.threads:
            thread.join()
        self.took = time.monotonic() - self.began
        if self.wrong:
            raise Failed(self.wrong)

    def rate(self) -> float:
        return self.count / self.took

    def _person(self, number: int) -> None:
        # Of this thread only.
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        next_time = time.monotonic() + number / LOGINS
        while not self.end.wait(max(0.0, next_time - time.monotonic())):
            next_time += 1
            try:
                log_in(self.url, f"amy-{number}")
                self.count += 1
            except (OSError, AssertionError) as error:
                self.wrong = f"a login failed: {error}"


class Stay(urllib.request.HTTPRedirectHandler):
    """Follows redirects within the gate, not to the app."""

    def redirect_request(self, request, file, code, message, headers, url):  # noqa: ANN001, ANN201
        return None if "/callback" in url else super().redirect_request(request, file, code, message, headers, url)


def log_in(url: str, username: str) -> None:
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()), Stay)
    asked = urllib.parse.urlencode({
        "response_type": "code", "client_id": "growth-chart", "redirect_uri": "http://127.0.0.1:9000/callback", "state": "s" * 24,
        "scope": "openid fhirUser", "aud": f"{url}/fhir", "code_challenge": "c" * 43, "code_challenge_method": "S256",
    })
    with browser.open(f"{url}/auth/authorize?{asked}", timeout=30) as page:
        hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]+)">', page.read().decode()))
    form = urllib.parse.urlencode({**hidden, "username": username, "password": PASSWORD, "do": "login"}).encode()
    request = urllib.request.Request(f"{url}/auth/login", form, {"Origin": url})
    try:
        with browser.open(request, timeout=30) as page:
            raise AssertionError(f"{page.status} {page.url}")
    except urllib.error.HTTPError as answer:
        location = answer.headers.get("Location", "")
        assert answer.code in (302, 303) and "code=" in location, f"{answer.code} {location}"


def flat(bench: Bench, rounds: int) -> Lines:
    """The same read with little and with much of everything: CPU time a request must not grow."""
    few = bench.requests["read"]
    limits = "[limits]\nauthorization = 65536\n"
    variants: list[tuple[str, Callable[[], float]]] = [
        ("10 clients", lambda: cost(bench, few, clients(10))),
        (f"{CLIENTS:,} clients", lambda: cost(bench, few, clients(CLIENTS))),
        ("no revocations", lambda: cost(bench, few)),
        (f"{REVOCATIONS:,} live revocations", lambda: revoked(bench, few)),
        *(row for count in (3, SCOPES) for row in beside(bench, f"{count} scopes", scopes(bench, count), limits)),
        *(row for count in (1, 5000) for row in beside(bench, f"{count:,} connection{'s' if count > 1 else ''}", few, extra=["--connections", str(count)])),
    ]
    costs = [[measure() for _, measure in variants] for _ in range(rounds)]
    return [(f"{label}, CPU µs a request", f"{median(round[at] for round in costs):.1f}") for at, (label, _) in enumerate(variants)]


def beside(bench: Bench, label: str, requests: Path, more: str = "", extra: list[str] | None = None) -> list[tuple[str, Callable[[], float]]]:
    """What reads cost, and what the kernel and pingora alone make of the same."""

    def bare() -> float:
        return costing(bench, bench.servers.start("pingora"), requests, extra)

    return [(label, lambda: cost(bench, requests, more, extra)), (f"{label}, bare pingora", bare)]


def cost(bench: Bench, requests: Path, more: str = "", extra: list[str] | None = None) -> float:
    """CPU microseconds of a read through the gate."""
    return costing(bench, gate(bench, more), requests, extra)


def costing(bench: Bench, process: Process, requests: Path, extra: list[str] | None) -> float:
    try:
        body = bench.folder / "flat.body"
        body.write_bytes(bench.checked(READ_ROW, material.first(requests)))
        bench.load(process, requests, body, 200, ["--once", "--settle", "0", "--seconds", "600"])
        return 1e6 / bench.load(process, requests, body, 200, extra or [])["capacity"]
    finally:
        process.stop()


def clients(count: int) -> str:
    """So many more clients, in the main file."""
    one = '[[clients]]\nid = "app-{0}"\nkind = "public"\nredirect_uris = ["https://app-{0}.example.org/callback"]\nscopes = ["launch/patient", "patient/*.rs"]\n'
    return "".join(one.format(number) for number in range(count))


def scopes(bench: Bench, count: int) -> Path:
    """Requests with tokens of so many scopes."""
    types = ("Observation", "Patient", "Condition", "Goal", "Task", "Flag", "List", "Claim", "Device", "Basic", "Media", "Account", "CareTeam",
             "CarePlan", "Coverage", "Consent", "Encounter", "Procedure", "Specimen", "Schedule")
    letters = [of for size in range(1, 6) for of in itertools.combinations("cruds", size)]
    every = (f"patient/{of}.{''.join(some)}" for some in letters for of in types)
    chosen = ("patient/Observation.rs", *itertools.islice(every, count - 1))
    tokens = [bench.patient_token(chosen) for _ in range(1000)]
    return bench.write(f"scopes-{count}", READ, tokens)


def revoked(bench: Bench, requests: Path) -> float:
    """With a store that is full of revocations."""
    store = bench.servers.home("smartgate") / "state" / "smartgate.db"
    expires = int(time.time()) + material.LIFETIME
    rows = ((0, bench.url, f"revoked-{number:012}", expires) for number in range(REVOCATIONS))
    with sqlite3.connect(store) as database:
        database.executemany("INSERT OR IGNORE INTO revocations (kind, issuer, id, expires) VALUES (?, ?, ?, ?)", rows)
    try:
        return cost(bench, requests)
    finally:
        with sqlite3.connect(store) as database:
            database.execute("DELETE FROM revocations")


ALL: dict[str, Callable[[Bench, int], Lines]] = {"memory": memory, "logins": logins, "flat": flat, "instructions": instructions}
