"""The wall clock of the built binary is set forwards and back by hours while it runs (issue 6, faults)."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crashes import APP
from harness import Keys
from replicas import Replica
from sandbox import FhirServer

HOURS = 3600
FAKETIME = Path(f"/usr/lib/{platform.machine()}-linux-gnu/faketime/libfaketime.so.1")


@pytest.fixture
def adrift(upstream: FhirServer, keys: Keys, tmp_path: Path) -> Iterator[tuple[Replica, Callable[[int], object]]]:
    """A gate, and what sets its wall clock so many seconds off; its monotonic clock goes on as ever."""
    offset = tmp_path / "offset"

    def step(seconds: int) -> None:
        beside = offset.with_suffix(".new")
        beside.write_text(f"{seconds:+d}\n")
        beside.replace(offset)

    step(0)
    assert FAKETIME.exists(), "tools/setup test installs it"
    gate = Replica(tmp_path / "gate", upstream.base, keys, f"sqlite:{tmp_path / 'gate.db'}")
    gate.environment = {"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(offset), "FAKETIME_NO_CACHE": "1",
                        "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    gate.start()
    try:
        yield gate, step
    finally:
        gate.stop()


def test_a_clock_that_is_set_forwards_and_back(adrift: tuple[Replica, Callable[[int], object]]) -> None:
    gate, step = adrift
    kept, revoked, spent = gate.tokens(), gate.tokens(), gate.code()
    assert gate.post("token", spent).status_code == 200
    assert gate.read(kept["access_token"]).status_code == gate.read(revoked["access_token"]).status_code == 200
    assert gate.post("revoke", {"token": revoked["refresh_token"], "client_id": APP}).status_code == 200
    for off in (20 * HOURS, -20 * HOURS, 0):
        step(off)
        assert gate.read(gate.tokens()["access_token"]).status_code == 200, f"{off}: whoever comes now is served"
        assert gate.read(revoked["access_token"]).status_code == 401, off
        assert gate.refresh(revoked["refresh_token"]).status_code == 400, off
        assert gate.post("token", spent).status_code == 400, off
        assert gate.readiness() == (200, None), off
        if off > 0:
            assert gate.read(kept["access_token"]).status_code == 401, "by this clock it has expired"
    assert gate.read(kept["access_token"]).status_code == 200
    assert gate.refresh(kept["refresh_token"]).status_code == 200
