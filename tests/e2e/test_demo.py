"""`make demo`: the commands that it prints do what it says, and Ctrl-C leaves nothing behind."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from sandbox import ROOT, wait_until

HERE = ROOT / "tests" / "e2e"


@dataclass
class Demo:
    process: subprocess.Popen[bytes]
    terminal: int
    text: str = ""

    def read_until(self, what: str, seconds: float = 300) -> None:
        end = time.monotonic() + seconds
        while what not in self.text:
            assert time.monotonic() < end, self.text
            try:
                self.text += os.read(self.terminal, 65536).decode(errors="replace").replace("\r\n", "\n")
            except OSError:
                raise AssertionError(f"the demo ended:\n{self.text}") from None

    def address(self, name: str) -> str:
        found = re.search(rf"^  {name}\s+(\S+)", self.text, re.M)
        assert found, self.text
        return found.group(1)


def start() -> Demo:
    """Starts it as somebody at a terminal does."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(["make", "demo"], cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
                               preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0))
    os.close(theirs)
    demo = Demo(process, ours)
    demo.read_until("Ctrl-C stops everything")
    return demo


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    started = start()
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.process.terminate()
        os.close(started.terminal)


def descendants(pid: int) -> set[int]:
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(child): int(parent) for child, parent in (line.split() for line in listed.splitlines())}
    found, size = {pid}, 0
    while len(found) != size:
        size = len(found)
        found |= {child for child, parent in parents.items() if parent in found}
    return found - {pid}


def alive(pids: set[int]) -> set[int]:
    return {pid for pid in pids if Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]}


def test_the_printed_commands_do_what_they_say(demo: Demo) -> None:
    commands = re.findall(r"^  \$ (.*)$", demo.text, re.M)
    assert len(commands) == 8, demo.text
    assert not [it for it in commands if re.search(r"""(?:^| )[^ "']*[?*][^ "']*(?: |$)""", it)], "zsh, the shell of macOS, takes these for file names"
    # The audit line is written behind the answer, which a person at a terminal does not notice.
    awaited = [f"until {it} | grep -q refuse; do sleep 0.02; done; {it}" if it.startswith("tail") else it for it in commands]
    marked = "\n".join(f"{command}\necho; echo '--- {number}'" for number, command in enumerate(awaited))
    done = subprocess.run(["bash", "-c", marked], cwd=ROOT, capture_output=True, text=True, timeout=60)
    token, passes, refused, line, explained, patient, assertion, backend = re.split(r"\n--- \d\n", done.stdout)[:8]
    assert '"Bundle"' in passes and "amy" in passes
    assert "OperationOutcome" in refused
    rule = re.search(r'"rule":"([a-z-]+)"', line)
    assert rule and rule.group(1) in refused and f"rule         {rule.group(1)}" in explained
    assert "permit" in patient and "Patient" in patient
    assert "access_token" in backend, backend
    assert (token.strip(), assertion.strip(), done.stderr) == ("", "", "")


def said(command: str) -> str:
    return subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False).stdout


def test_the_addresses_are_there(demo: Demo) -> None:
    assert httpx.get(demo.address("discovery")).json()["token_endpoint"]
    assert "smartgate_requests_total" in httpx.get(demo.address("metrics")).text


@pytest.mark.parametrize(("username", "patient", "chart"), [
    ("amy", None, ["Amy Louise Shaw", "born 1987-02-20", "Type 2 diabetes mellitus", "metformin", "Blood pressure", "beats/minute"]),
    ("carter", {"name": "Okafor", "id": "ben"}, ["Okafor", "Conditions", "Observations"]),
])
def test_the_app_shows_a_chart_and_what_the_gate_refuses(
    demo: Demo, chromium: str, artifacts: Path, username: str, patient: dict[str, str] | None, chart: list[str]
) -> None:
    asked = {
        "chromium": chromium, "shots": str(artifacts / "demo"), "start": demo.address("an app"), "username": username,
        "password": re.search(rf"log in as {username} with (\S+)", demo.text)[1], "patient": patient,  # type: ignore[index]
    }
    done = subprocess.run(["node", HERE / "clients" / "demo.mjs", json.dumps(asked)], capture_output=True, text=True, timeout=120, cwd=HERE)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["complaints"] == []
    assert "amy-demo" in told["people"] and "the user refused" in told["denied"]
    for words in chart:
        assert words in told["chart"], told["chart"]
    beyond, other = told["beyondScope"], told["otherPatient"]
    assert "403" in beyond and 'error="insufficient_scope"' in beyond and "scope-missing" in beyond
    assert "404" in other and "not-found-or-not-yours" in other
    # What it tells to look for is there.
    for text in (beyond, other):
        found, explain = re.findall(r"^(?:grep .*|.* explain .*)$", text, re.M)
        line = wait_until(lambda command=found: said(command), 5, f"the line of `{found}`")
        assert json.loads(line)["rule"] in text and "decision" in said(explain)  # type: ignore[arg-type]


def test_ctrl_c_stops_everything(demo: Demo) -> None:
    below = descendants(demo.process.pid)
    assert len(below) >= 3, "demo, FHIR server, gate"
    os.write(demo.terminal, b"\x03")
    demo.read_until("demo: stopped", 30)
    assert demo.process.wait(15) == 0
    wait_until(lambda: not alive(below), 5, f"the end of {below}")


@pytest.mark.parametrize("how", ["everyone", "make-alone"])
def test_an_interrupt_without_a_terminal(how: str) -> None:
    with subprocess.Popen(["make", "demo"], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          start_new_session=True) as process:
        assert process.stdout
        for line in process.stdout:
            if "Ctrl-C stops everything" in line:
                break
        below = descendants(process.pid)
        os.killpg(process.pid, signal.SIGINT) if how == "everyone" else process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert "demo: stopped" in rest
    wait_until(lambda: not alive(below), 5, f"the end of {below}")
