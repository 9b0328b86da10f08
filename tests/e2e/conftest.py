"""What the tests share: one FHIR server, one gate without and one with TLS, for the whole session."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import trustme

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from harness import BINARY, Gate, Keys  # noqa: E402
from sandbox import KIND, ROOT, FhirServer  # noqa: E402
from smart import smart_gate  # noqa: E402

ON_MACOS = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"


def pytest_report_header() -> list[str]:
    return [f"gate: {BINARY}", f"FHIR server: {KIND}"]


def pytest_sessionstart() -> None:
    if not BINARY.exists():
        pytest.exit(f"{BINARY} is not built: run `make test`, or `cargo build --features otel`", returncode=1)


@pytest.fixture(scope="session")
def artifacts() -> Path:
    """Where screenshots and logs are kept for whoever looks after a run."""
    folder = ROOT / "target" / "e2e"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    named = os.environ.get("SMARTGATE_CHROMIUM")
    found = named or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", ON_MACOS))), None)
    if not found:
        pytest.fail("no Chromium on this machine: install it (Debian: apt-get install chromium) or name one in SMARTGATE_CHROMIUM")
    return found


@pytest.fixture(scope="session")
def keys() -> Keys:
    return Keys()


@pytest.fixture(scope="session")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FhirServer]:
    server = FhirServer(tmp_path_factory.mktemp("upstream"))
    try:
        server.load()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def certificate(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    for part in issued.cert_chain_pems:
        part.write_to_path(folder / "cert.pem", append=True)
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture(scope="session")
def gate(upstream: FhirServer, keys: Keys, tmp_path_factory: pytest.TempPathFactory, artifacts: Path) -> Iterator[Gate]:
    made = Gate(tmp_path_factory.mktemp("gate"), upstream.base, keys)
    yield from _served(made, artifacts, "gate")


@pytest.fixture(scope="session")
def tls_gate(
    upstream: FhirServer, keys: Keys, certificate: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory, artifacts: Path
) -> Iterator[Gate]:
    made = Gate(tmp_path_factory.mktemp("tls-gate"), upstream.base, keys, certificate)
    yield from _served(made, artifacts, "tls-gate")


@pytest.fixture(scope="session")
def smart(upstream: FhirServer, keys: Keys, tmp_path_factory: pytest.TempPathFactory, artifacts: Path) -> Iterator[Gate]:
    yield from _served(smart_gate(tmp_path_factory.mktemp("smart"), upstream.base, keys), artifacts, "smart")


@pytest.fixture
def own_gate(upstream: FhirServer, keys: Keys, tmp_path: Path) -> Iterator[Gate]:
    """A gate of the test's own that is not started yet: to be configured, stopped, broken."""
    made = Gate(tmp_path / "gate", upstream.base, keys)
    try:
        yield made
    finally:
        made.stop()


def _served(gate: Gate, artifacts: Path, name: str) -> Iterator[Gate]:
    try:
        yield gate.start()
    finally:
        code = gate.stop()
        shutil.copy(gate.log, artifacts / f"{name}.log")
    assert code == 0, f"the gate ended with {code}"


@pytest.fixture(scope="session", params=["http1", "http2", "tls-http1", "tls-http2"])
def wire(request: pytest.FixtureRequest, authority: trustme.CA) -> Iterator[tuple[Gate, httpx.Client]]:
    """Each way onto the gate, with a client that speaks exactly that one."""
    secure = request.param.startswith("tls")
    http2 = request.param.endswith("http2")
    gate: Gate = request.getfixturevalue("tls_gate" if secure else "gate")
    verify: object = True
    if secure:
        import ssl

        verify = ssl.create_default_context()
        authority.configure_trust(verify)
    with httpx.Client(http1=not http2, http2=http2, verify=verify) as client:
        yield gate, client
