"""A PostgreSQL of the tests' own: a cluster in a temporary folder, on a free port of loopback, with TLS."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from sandbox import Failed, Process, free_port, wait_until

# Debian keeps the server's programs away from PATH.
DEBIAN = Path("/usr/lib/postgresql")
# Of the tests' databases nothing has to outlive the machine; what the tests kill are processes.
SETTINGS = {
    "fsync": "off", "full_page_writes": "off", "max_connections": "300", "ssl": "on", "ssl_cert_file": "server.crt",
    "ssl_key_file": "server.key", "log_min_error_statement": "panic", "autovacuum_naptime": "10s",
}


def programs() -> Path:
    """The folder of `initdb` and `postgres`, of the newest version that there is."""
    versions = sorted(DEBIAN.glob("*/bin"), key=lambda it: float(it.parent.name), reverse=True) if DEBIAN.exists() else []
    found = shutil.which("postgres")
    for folder in [*versions, *([Path(found).parent] if found else [])]:
        if (folder / "initdb").exists():
            return folder
    raise Failed("no PostgreSQL on this machine: `tools/setup test` installs it (Debian: apt-get install postgresql)")


def unprivileged() -> str | None:
    """As whom it runs: PostgreSQL refuses to run as root."""
    if os.getuid():
        return None
    users = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in users else "nobody"


class Cluster:
    """A server that runs, and stops for good with `close`."""

    def __init__(self, follows: Cluster | None = None) -> None:
        self.bin, self.user = programs(), unprivileged()
        self.folder = Path(tempfile.mkdtemp(prefix="smartgate-postgres-"))
        self.port = free_port()
        if self.user:
            shutil.chown(self.folder, self.user)
        self.data = self.folder / "data"
        if follows:
            self.authority = follows.authority
            self._run(self.bin / "pg_basebackup", "-h", "127.0.0.1", "-p", str(follows.port), "-U", "postgres", "-D", self.data, "-R", "-c",
                      "fast", "--no-sync")
            self.start()
            return
        self._run(self.bin / "initdb", "--pgdata", self.data, "--username", "postgres", "--auth", "trust", "--encoding", "UTF8",
                  "--locale", "C", "--no-sync")
        self._run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
                  "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:false", "-keyout", self.data / "server.key",
                  "-out", self.data / "server.crt")
        # What a client trusts, where any user can read it.
        self.authority = self.folder / "authority.pem"
        shutil.copy(self.data / "server.crt", self.authority)
        self.folder.chmod(0o755)
        self.authority.chmod(0o644)
        self.start()

    def _run(self, *command: str | Path) -> str:
        done = subprocess.run([str(part) for part in command], user=self.user, capture_output=True, text=True, cwd=self.folder)
        if done.returncode:
            raise Failed(f"{command[0]}: {done.stderr}")
        return done.stdout

    def start(self) -> None:
        options = [f"--{name}={value}" for name, value in SETTINGS.items()]
        command = [self.bin / "postgres", "-D", self.data, "-p", str(self.port), "-h", "127.0.0.1", "-k", self.folder, *options]
        self.process = Process("PostgreSQL", command, self.folder / "postgres.log", cwd=self.folder, user=self.user)
        wait_until(self.answers, 30, "PostgreSQL")

    def answers(self) -> bool:
        if not self.process.running():
            raise Failed(f"PostgreSQL ended:\n{self.process.last_words()}")
        ready = [str(self.bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(ready).returncode == 0

    def stop(self, mode: str = "immediate") -> None:
        """As `pg_ctl stop -m` does it: `immediate` is a crash."""
        if self.process.running():
            self._run(self.bin / "pg_ctl", "stop", "-D", self.data, "-m", mode, "-w")
            self.process.child.wait(30)

    def pause(self) -> None:
        """Stops every process of the server where it is: connections are taken, and nobody answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(stat.read_text().rsplit(") ", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            if parent == self.process.pid:
                os.kill(int(stat.parent.name), number)
        if self.process.running():
            self.process.signal(number)

    def standby(self) -> Cluster:
        """Another server that follows this one."""
        return Cluster(follows=self)

    def promote(self) -> None:
        """Makes a standby the server that takes writes."""
        self._run(self.bin / "pg_ctl", "promote", "-D", self.data, "-w")

    def has_caught_up(self, leader: Cluster) -> bool:
        return self.sql("SELECT pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn()") == [["t"]] and self.sql(
            f"SELECT pg_last_wal_replay_lsn() >= '{leader.sql('SELECT pg_current_wal_lsn()')[0][0]}'") == [["t"]]

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def sql(self, statement: str, database: str = "postgres") -> list[list[str]]:
        """The rows of a statement, as text."""
        text = self._run(self.bin / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port),
                         "-U", "postgres", "-d", database, "-c", statement)
        return [line.split("|") for line in text.splitlines()]

    def url(self, database: str = "postgres", sslmode: str = "disable", port: int | None = None) -> str:
        return f"postgres://postgres@127.0.0.1:{port or self.port}/{database}?sslmode={sslmode}"

    def environment(self) -> dict[str, str]:
        """What the tests in Rust are told."""
        return {"SMARTGATE_TEST_POSTGRES": self.url(), "SMARTGATE_TEST_POSTGRES_CA": str(self.authority)}
