"""What the demo and the end-to-end suite share: free ports, processes that are stopped again, a FHIR server with patients."""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "e2e" / "data"
KIND = os.environ.get("SMARTGATE_UPSTREAM", "sekmet")
PATIENTS = ("amy", "ben", "cleo", "dev")

# Of the ports below those of connections, in an order of this process's own.
PORTS = itertools.cycle(random.sample(range(10_000, 32_768), 32_768 - 10_000))

CACHE = Path(
    os.environ.get("SMARTGATE_CACHE")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "smartgate"
)


class Failed(Exception):
    """Something could not be started; the text says what, and shows the end of its log."""


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(preferred: int = 0) -> int:
    """A port that nobody listens on, and that this function gave to nobody else: below those that the system gives to connections, of
    which one may otherwise have it before it is listened on."""
    return next(port for port in itertools.chain([preferred] if preferred else [], PORTS) if port_is_free(port))


def wait_until(probe: Callable[[], object], seconds: float, what: str) -> object:
    """Asks `probe` until its answer is true; a `Failed` that names `what` when that takes too long."""
    end = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {seconds:g} seconds")
        time.sleep(0.02)


def answers(url: str) -> bool:
    """Whether `url` answers 2xx."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status < 300
    except (OSError, urllib.error.URLError):
        return False


def _die_with_parent() -> None:
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


class Process:
    """A program that runs beside this one, in a process group of its own, so that Ctrl-C reaches only whoever stops it in order. Not in
    a session of its own: Linux shares a core by sessions first, and only within one does a thread of low priority give way at once."""

    started: list[Process] = []

    def __init__(self, name: str, command: Iterable[str | Path], log: Path, env: dict[str, str] | None = None,
                 cwd: Path | None = None, user: str | None = None, sockets: tuple[int, ...] = ()) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as sink:
            self.child = subprocess.Popen(
                [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})}, cwd=cwd, process_group=0, preexec_fn=_die_with_parent, user=user,
                pass_fds=sockets,
            )
        Process.started.append(self)

    @property
    def pid(self) -> int:
        return self.child.pid

    def running(self) -> bool:
        return self.child.poll() is None

    def last_words(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def wait_for(self, url: str, seconds: float = 30) -> None:
        def ready() -> bool:
            if not self.running():
                raise Failed(f"{self.name} ended with {self.child.returncode}:\n{self.last_words()}")
            return answers(url)

        try:
            wait_until(ready, seconds, f"{self.name} at {url}")
        except Failed as late:
            raise Failed(f"{late}\n{self.last_words()}") from None

    def signal(self, number: int) -> None:
        self.child.send_signal(number)

    def stop(self, seconds: float = 15) -> int:
        """Asks it to end, insists when it does not, and gives its exit code."""
        if self.running():
            self.child.terminate()
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                self.child.kill()
        return self.child.wait()


def stop_all() -> None:
    """Stops every process that was started, the last one first."""
    for process in reversed(Process.started):
        process.stop()


class FhirServer:
    """A FHIR server of somebody else's making, with the patients of tests/e2e/data."""

    def __init__(self, folder: Path, port: int = 0, kind: str = KIND) -> None:
        self.port = port or free_port()
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.start_process = {"sekmet": self._sekmet, "hfs": self._hfs}[kind]
        self.process = self.start_process()
        self._await()

    base: str

    def _await(self) -> None:
        self.process.wait_for(f"{self.base}/metadata", 60)

    def _sekmet(self) -> Process:
        self.base = f"http://127.0.0.1:{self.port}/fhir"
        settings = {
            "base_url": self.base, "host": "127.0.0.1", "port": self.port, "data_dir": str(self.folder / "sekmet"),
            "log_inbound": False, "simulator": {"enabled": False},
        }
        config = self.folder / "sekmet.yaml"
        config.write_text(json.dumps(settings))  # JSON is YAML
        command = [CACHE / "venv" / "bin" / "sekmet", "serve", "--config", config]
        return Process("the FHIR server (SEKMET)", command, self.folder / "sekmet.log", cwd=self.folder)

    def _hfs(self) -> Process:
        home = CACHE / "hfs-0.2.7"
        self.base = f"http://127.0.0.1:{self.port}"
        env = {
            "HFS_SERVER_HOST": "127.0.0.1", "HFS_SERVER_PORT": str(self.port), "HFS_BASE_URL": self.base,
            "HFS_DATABASE_URL": str(self.folder / "hfs.db"), "HFS_DATA_DIR": str(home / "data"),
        }
        return Process("the FHIR server (HFS)", [home / "bin" / "hfs"], self.folder / "hfs.log", env, cwd=self.folder)

    def load(self) -> None:
        """Puts the patients in; each file is a transaction."""
        for name in ("shared", *PATIENTS):
            self.post((DATA / f"{name}.json").read_bytes())

    def post(self, bundle: bytes) -> None:
        request = urllib.request.Request(self.base, bundle, {"Content-Type": "application/fhir+json"})
        try:
            urllib.request.urlopen(request, timeout=60).close()
        except urllib.error.HTTPError as refused:
            raise Failed(f"the FHIR server refuses a bundle: {refused.read().decode(errors='replace')[:2000]}") from None

    def restart(self) -> None:
        """Starts it again on the same port with the same data."""
        self.process = self.start_process()
        self._await()

    def stop(self) -> None:
        self.process.stop()
