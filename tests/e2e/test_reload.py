"""A thousand reloads while requests run: none fails, and none sees half of one configuration and half of another.

The two good configurations differ in two visible facts that different parts of the gate take from the snapshot: the origin an
issuer's apps may call from (the answer's CORS) and the name of the header that tells the FHIR server who asks.
"""

from __future__ import annotations

import itertools
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from echo import EchoServer, headers_seen
from harness import Gate, Keys, bearer, toml
from load import HEADERS, ORIGINS
from sandbox import wait_until

BY_SIGNAL = 900
BY_FILE = 100


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


def count(gate: Gate, number: float) -> bool:
    return sum(reloads(gate).values()) >= number


def test_a_thousand_reloads_under_load(keys: Keys, tmp_path: Path) -> None:
    command = [sys.executable, Path(__file__).with_name("load.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as load:
        assert load.stdin and load.stdout
        gate = Gate(tmp_path / "gate", load.stdout.readline().strip(), keys)
        put(gate, "a")
        try:
            gate.start()
            token = gate.token("system/Patient.rs", client_id="the-app", exp=int(time.time()) + 3600)
            load.stdin.write(json.dumps({"url": f"{gate.fhir}/Patient/amy", "token": token}) + "\n")
            load.stdin.flush()
            by_signal, by_file = reload_by_signal(gate), reload_by_file(gate)
            seen, _ = load.communicate(timeout=60)
        finally:
            load.kill()
            gate.stop()
    answers: dict[str, int] = json.loads(seen)
    assert set(answers) == set(ORIGINS), "nothing failed, and no answer was of two configurations"
    assert sum(answers.values()) > 1000
    assert sum(by_signal.values()) >= BY_SIGNAL
    assert sum(by_file.values()) - sum(by_signal.values()) >= BY_FILE
    assert by_file["applied"] >= BY_SIGNAL * 0.9
    assert by_file["rejected"] + by_file["needs_restart"] >= BY_FILE // 3
    print(f"{sum(answers.values())} requests during {sum(by_file.values()):.0f} reloads: {by_file}")


def reload_by_signal(gate: Gate) -> dict[str, float]:
    """The file changes and the signal comes at once: whichever is heard first makes the reload."""
    assert gate.process
    done = sum(reloads(gate).values())
    for number, which in zip(range(BY_SIGNAL), itertools.cycle("ba")):
        put(gate, which)
        gate.process.signal(signal.SIGHUP)
        done += 1
        wait_until(lambda: count(gate, done), 10, f"reload {number} by SIGHUP")
    return reloads(gate)


def reload_by_file(gate: Gate) -> dict[str, float]:
    """Only the file changes; every third is wrong."""
    bad = itertools.cycle([
        text_of(gate, "a") + "\n[unknown]\n", "this is no TOML [", text_of(gate, "b").replace('version = "R4"', 'version = "R9"'),
        text_of(gate, "a").replace(f'listen = ["127.0.0.1:{gate.port}"]', 'listen = ["127.0.0.1:1"]'),
    ])
    for number, which in zip(range(BY_FILE), itertools.cycle("ba")):
        before = sum(reloads(gate).values())
        put(gate, next(bad) if number % 3 == 2 else which)
        wait_until(lambda: count(gate, before + 1), 10, f"reload {number} by file")
    return reloads(gate)


def test_row_236_a_bad_file_keeps_the_last_good_one(served: Gate) -> None:
    put(served, text_of(served, "b").replace("system/*.cruds", "system/*.curds"))
    wait_until(lambda: served.metrics()["smartgate_config_last_reload_successful"] == 0, 10, "the bad file is noticed")
    token = served.token("system/Patient.rs")
    seen = headers_seen(httpx.get(f"{served.fhir}/Patient/amy", headers=bearer(token)).json())
    assert HEADERS["a"].lower() in seen
    log = served.log.read_text()
    assert "curds" in log and "smartgate.toml" in log
    put(served, "b")
    wait_until(lambda: served.metrics()["smartgate_config_last_reload_successful"] == 1, 10, "the good file is noticed")


def test_keys_that_need_a_restart_are_named(served: Gate) -> None:
    changed = text_of(served, "b").replace(f'listen = ["127.0.0.1:{served.port}"]', 'listen = ["127.0.0.1:1"]')
    put(served, changed)
    wait_until(lambda: reloads(served).get("needs_restart", 0) > 0, 10, "the change is noticed")
    assert "server.listen" in served.log.read_text().replace("[server] listen", "server.listen")


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
