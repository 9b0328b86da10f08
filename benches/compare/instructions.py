"""Instructions of whole requests, outside the kernel, as callgrind counts them: the one figure that a busy machine does not blur."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import material
from bench import Bench
from rows import BY_NAME, Row
from sandbox import Failed, wait_until

# Rows, and how many requests are counted of each.
COUNTED = {"pingora-read": 500, "gate-stream": 500, "gate-read": 500, "gate-denied": 500, "pingora-small": 100, "gate-small": 100}

CONNECTIONS = 4


def instructions(bench: Bench, _rounds: int) -> list[tuple[str, str]]:
    """Instructions a request of single rows; callgrind's files stay in the folder of the run."""
    if not shutil.which("valgrind"):
        raise Failed("valgrind is missing (Debian: apt-get install valgrind)")
    return [(f"{BY_NAME[name].label}, instructions a request", f"{counted(bench, BY_NAME[name], count):,.0f}") for name, count in COUNTED.items()]


def counted(bench: Bench, row: Row, count: int) -> float:
    servers = bench.servers
    home = servers.home(row.server)
    out = home / f"callgrind.{row.name}"
    valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}"]
    process = servers.run(row.server, [*valgrind, *servers.command(row.server)], bench.ports.proxy, servers.core)
    try:
        every = bench.requests[row.asks].read_bytes().split(b"\0")
        requests = material.write_requests(bench.folder / "counted.requests", every[:count])
        body = bench.folder / "counted.body"
        body.write_bytes(bench.checked(row, every[0]))
        once = ["--once", "--settle", "0", "--seconds", "600", "--connections", str(CONNECTIONS)]
        bench.load(process, requests, body, row.status, once)
        control(process.pid, "-i", "on")
        answered = bench.load(process, requests, body, row.status, once)["answered"]
        control(process.pid, "-i", "off")
        control(process.pid, "-d")
        dump = out.with_name(f"{out.name}.1")
        wait_until(lambda: dump.exists() and total(dump), 60, str(dump))
        return total(dump) / answered
    finally:
        process.child.kill()
        process.stop()


def control(process: int, *what: str) -> None:
    subprocess.run(["callgrind_control", *what, str(process)], check=True, capture_output=True)


def total(dump: Path) -> int:
    found = re.search(r"^totals: (\d+)", dump.read_text(errors="replace"), re.MULTILINE)
    return int(found[1]) if found else 0
