"""A thousand reloads while requests run: none fails, and none sees half of one configuration and half of another.

The two good configurations differ in two visible facts that different parts of the gate take from the snapshot: the origin an
issuer's apps may call from (the answer's CORS) and the name of the header that tells the FHIR server who asks.
"""

from __future__ import annotations

import itertools
import re
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from echo import EchoServer, headers_seen
from harness import Gate, Keys, bearer, toml
from sandbox import wait_until

BY_SIGNAL = 900
BY_FILE = 100
THREADS = 4

ORIGINS = {"a": "https://a.example.org", "b": "https://b.example.org"}
HEADERS = {"a": "X-Client-A", "b": "X-Client-B"}


@pytest.fixture
def served(keys: Keys, tmp_path: Path) -> Iterator[Gate]:
    echo = EchoServer()
    gate = Gate(tmp_path / "gate", echo.base, keys)
    put(gate, "a")
    try:
        yield gate.start()
    finally:
        gate.stop()
        echo.stop()


def text_of(gate: Gate, which: str) -> str:
    config = gate.edited()
    config["issuers"][0]["origins"] = [ORIGINS[which]]
    config["fhir"]["identity_headers"] = {"client": HEADERS[which]}
    return toml(config)


def put(gate: Gate, which: str) -> None:
    """Saves as careful editors do: a new file takes the old one's place."""
    text = text_of(gate, which) if which in ORIGINS else which
    beside = gate.config_file.with_suffix(".new")
    beside.write_text(text)
    beside.replace(gate.config_file)


def reloads(gate: Gate) -> dict[str, float]:
    text = gate.scraper.get("/metrics").text
    return {outcome: float(it) for outcome, it in re.findall(r'^smartgate_reloads_total\{outcome="(\w+)"\} (\S+)$', text, re.M)}


@dataclass
class Load:
    """Threads that ask and look at every answer."""

    gate: Gate
    token: str
    stop: threading.Event = field(default_factory=threading.Event)
    asked: int = 0
    seen: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, http2: bool) -> None:
        with httpx.Client(http1=not http2, http2=http2, timeout=20) as client:
            for origin in itertools.cycle(ORIGINS):
                if self.stop.is_set():
                    return
                try:
                    outcome = self.ask(client, origin)
                except (httpx.HTTPError, ValueError) as error:
                    outcome = f"{type(error).__name__}: {error}"
                with self.lock:
                    self.asked += 1
                    if outcome in ORIGINS:
                        self.seen.add(outcome)
                    else:
                        self.wrong.append(outcome)

    def ask(self, client: httpx.Client, origin: str) -> str:
        """Which configuration answered, or what is wrong with the answer."""
        answer = client.get(f"{self.gate.fhir}/Patient/amy", headers={**bearer(self.token), "Origin": ORIGINS[origin]})
        if answer.status_code != 200:
            return f"{answer.status_code}: {answer.text}"
        allowed = answer.headers.get("access-control-allow-origin")
        headers = headers_seen(answer.json())
        told = [name for name in HEADERS if HEADERS[name].lower() in headers]
        if len(told) != 1:
            return f"identity headers of {told}"
        expected = ORIGINS[origin] if told[0] == origin else None
        return told[0] if allowed == expected else f"identity header of {told[0]} with the origin {allowed}, asked from {origin}"


def count(gate: Gate, number: float) -> bool:
    return sum(reloads(gate).values()) >= number


def test_a_thousand_reloads_under_load(served: Gate) -> None:
    load = Load(served, served.token("system/Patient.rs", client_id="the-app", exp=int(time.time()) + 3600))
    threads = [threading.Thread(target=load.run, args=(number % 2 == 1,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    process = served.process
    assert process
    bad = itertools.cycle([
        text_of(served, "a") + "\n[unknown]\n", "this is no TOML [", text_of(served, "b").replace('version = "R4"', 'version = "R9"'),
        text_of(served, "a").replace(f'listen = ["127.0.0.1:{served.port}"]', 'listen = ["127.0.0.1:1"]'),
    ])
    begun = sum(reloads(served).values())
    done = begun
    try:
        # The file changes and the signal comes at once: whichever is heard first makes the reload.
        for number, which in zip(range(BY_SIGNAL), itertools.cycle("ab")):
            put(served, which)
            process.signal(signal.SIGHUP)
            done += 1
            wait_until(lambda: count(served, done), 10, f"reload {number} by SIGHUP")
        by_signal = reloads(served)
        # Now only the file changes; every third is wrong.
        for number, which in zip(range(BY_FILE), itertools.cycle("ab")):
            before = sum(reloads(served).values())
            put(served, next(bad) if number % 3 == 2 else which)
            wait_until(lambda: count(served, before + 1), 10, f"reload {number} by file")
        by_file = reloads(served)
        put(served, "b")
        wait_until(lambda: served.metrics()["smartgate_config_last_reload_successful"] == 1, 10, "the last reload")
    finally:
        load.stop.set()
        for thread in threads:
            thread.join(30)
    assert load.wrong == [], f"{len(load.wrong)} of {load.asked} went wrong"
    assert load.seen == {"a", "b"}
    assert load.asked > 1000
    assert sum(by_signal.values()) - begun >= BY_SIGNAL
    assert sum(by_file.values()) - sum(by_signal.values()) >= BY_FILE
    assert by_file["applied"] >= BY_SIGNAL * 0.9
    assert by_file["rejected"] + by_file["needs_restart"] >= BY_FILE // 3
    print(f"{load.asked} requests during {sum(by_file.values()) - begun:.0f} reloads: {by_file}")


def test_a_bad_file_keeps_the_last_good_one(served: Gate) -> None:
    put(served, text_of(served, "b").replace("system/*.cruds", "system/*.curds"))
    wait_until(lambda: served.metrics()["smartgate_config_last_reload_successful"] == 0, 10, "the bad file is noticed")
    token = served.token("system/Patient.rs")
    seen = headers_seen(httpx.get(f"{served.fhir}/Patient/amy", headers=bearer(token)).json())
    assert HEADERS["a"].lower() in seen
    log = (served.folder / "gate.log").read_text()
    assert "curds" in log and "smartgate.toml" in log
    put(served, "b")
    wait_until(lambda: served.metrics()["smartgate_config_last_reload_successful"] == 1, 10, "the good file is noticed")


def test_keys_that_need_a_restart_are_named(served: Gate) -> None:
    changed = text_of(served, "b").replace(f'listen = ["127.0.0.1:{served.port}"]', 'listen = ["127.0.0.1:1"]')
    put(served, changed)
    wait_until(lambda: reloads(served).get("needs_restart", 0) > 0, 10, "the change is noticed")
    assert "server.listen" in (served.folder / "gate.log").read_text().replace("[server] listen", "server.listen")


def test_a_kubernetes_config_map_swaps_a_link(served: Gate, keys: Keys, tmp_path: Path) -> None:
    """`smartgate.toml` → `..data/smartgate.toml`, `..data` → a folder with the time in its name."""
    mount = tmp_path / "mount"
    gate = Gate(mount, served.config["fhir"]["upstream"], keys)
    jwks_files = list(mount.glob("*-jwks.json"))

    def version(name: str, which: str) -> None:
        folder = mount / f"..{name}"
        folder.mkdir()
        (folder / "smartgate.toml").write_text(text_of(gate, which))
        for file in jwks_files:
            (folder / file.name).write_text(file.read_text())
        link = mount / "..data_tmp"
        link.symlink_to(folder.name)
        link.replace(mount / "..data")

    version("2026_01", "a")
    gate.config_file.unlink()
    gate.config_file.symlink_to("..data/smartgate.toml")
    try:
        gate.start()
        version("2026_02", "b")
        wait_until(lambda: reloads(gate).get("applied", 0) >= 1, 10, "the swap is noticed")
        token = gate.token("system/Patient.rs")
        assert HEADERS["b"].lower() in headers_seen(httpx.get(f"{gate.fhir}/Patient/amy", headers=bearer(token)).json())
    finally:
        gate.stop()
