"""What whoever runs the gate relies on: metrics, health, draining, and words when it cannot start."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from echo import EchoServer
from harness import BINARY, PASSWORD, SECRET, Gate, bearer, rule
from pages import Authorization, Person
from sandbox import FhirServer, answers, wait_until
from smart import assertion, launch, post, token

SCOPE = "patient/Patient.r"


def test_metrics_are_what_prometheus_reads(gate: Gate) -> None:
    httpx.get(f"{gate.fhir}/Patient/amy", headers=bearer(gate.token(SCOPE, patient="amy")))
    httpx.get(f"{gate.fhir}/Patient/amy")
    answer = httpx.get(f"{gate.admin}/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = list(text_string_to_metric_families(answer.text))
    assert families
    names = re.findall(r"^# TYPE (\S+) (\S+)$", answer.text, re.M)
    helps = re.findall(r"^# HELP (\S+) (.+)$", answer.text, re.M)
    assert [name for name, _ in names] == [name for name, _ in helps], "each has HELP and TYPE, once"
    assert all(text.strip() for _, text in helps)
    series = Counter(line.rsplit(" ", 1)[0] for line in answer.text.splitlines() if line and not line.startswith("#"))
    assert [name for name, count in series.items() if count > 1] == [], "no series twice"


def test_metrics_keep_the_conventions_that_promtool_checks(gate: Gate) -> None:
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", httpx.get(f"{gate.admin}/metrics").text, re.M):
        assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name), name
        assert name.startswith(("smartgate_", "process_")), name
        assert (kind == "counter") == name.endswith("_total"), name
        assert not re.search(r"_(ms|millis|milliseconds|micros|minutes|percent|kb|mb)(_|$)", name), "base units only"
        if kind == "histogram":
            assert name.endswith(("_seconds", "_bytes")), name


def test_row_240_metrics_count_and_name_nobody(gate: Gate) -> None:
    def counted(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
        return {name: it - before.get(name, 0) for name, it in after.items() if it != before.get(name, 0) and name.endswith("}")}

    before = gate.metrics()
    token = gate.token(SCOPE, patient="amy")
    for _ in range(3):
        assert httpx.get(f"{gate.fhir}/Patient/amy", headers=bearer(token)).status_code == 200
    httpx.get(f"{gate.fhir}/Condition", headers=bearer(token))
    after = wait_until(lambda: (it := gate.metrics()) and sum(v for k, v in counted(before, it).items() if "requests_total" in k and "cache" not in k) >= 4 and it,
                       5, "four requests in the metrics")
    told = counted(before, after)  # type: ignore[arg-type]
    assert any(name.startswith("smartgate_refusals_total") for name in told), told
    text = httpx.get(f"{gate.admin}/metrics").text
    for secret in ("amy", "ben", "app.example.org", "growth-chart", "carter"):
        assert secret not in text


def test_row_240_health(gate: Gate) -> None:
    assert httpx.get(f"{gate.admin}/healthz").status_code == 200
    assert httpx.get(f"{gate.admin}/readyz").status_code == 200
    assert httpx.get(f"{gate.admin}/nothing").status_code == 404
    assert httpx.get(f"{gate.admin}/metrics", headers={"Host": "evil.example.org"}).status_code in (400, 403, 421), "DNS rebinding"


def test_row_240_nothing_of_the_admin_listener_is_public(gate: Gate) -> None:
    for path in ("metrics", "healthz", "readyz"):
        for agent in ("GoogleHC/1.0", "kube-probe/1.31"):
            answer = httpx.get(f"{gate.url}/{path}", headers={"User-Agent": agent})
            assert answer.status_code == 404, path
            assert "smartgate_" not in answer.text
        assert httpx.get(f"{gate.fhir}/{path}", headers={"User-Agent": "GoogleHC/1.0"}).status_code in (401, 404)


@pytest.fixture
def echo() -> EchoServer:
    server = EchoServer()
    yield server  # type: ignore[misc]
    server.stop()


def test_memory_is_given_back_in_small_pages(gate: Gate) -> None:
    """With huge pages what is resident grows for hours, as the kernel makes them of what is used here and there."""
    assert "THP_enabled:\t0\n" in Path(f"/proc/{gate.process.pid}/status").read_text()


def test_sigterm_drains(own_gate: Gate, echo: EchoServer) -> None:
    own_gate.config["fhir"]["upstream"] = echo.base
    own_gate.config["server"]["drain_delay"] = "1s"
    own_gate.write()
    own_gate.start()
    token = bearer(own_gate.token("system/Patient.rs"))
    echo.release.clear()
    answers: list[httpx.Response] = []
    in_flight = threading.Thread(target=lambda: answers.append(httpx.get(f"{own_gate.fhir}/Patient/slow", headers=token, timeout=30)))
    in_flight.start()
    assert echo.arrived.wait(10)

    assert own_gate.process
    own_gate.process.signal(signal.SIGTERM)
    wait_until(lambda: httpx.get(f"{own_gate.admin}/readyz").status_code == 503, 5, "/readyz turns red")
    assert httpx.get(f"{own_gate.admin}/healthz").status_code == 200
    echo.release.set()
    assert httpx.get(f"{own_gate.fhir}/metadata").status_code == 200, "it serves until the balancer has seen the red"
    in_flight.join(15)
    assert [answer.status_code for answer in answers] == [200], "what was in flight is finished"
    assert own_gate.process.child.wait(15) == 0


def test_what_is_in_flight_outlives_the_listeners(own_gate: Gate, echo: EchoServer) -> None:
    own_gate.config["fhir"]["upstream"] = echo.base
    own_gate.write()
    own_gate.start()
    token = bearer(own_gate.token("system/Patient.rs"))
    echo.release.clear()
    answers: list[httpx.Response] = []
    in_flight = threading.Thread(target=lambda: answers.append(httpx.get(f"{own_gate.fhir}/Patient/slow", headers=token, timeout=30)))
    in_flight.start()
    assert echo.arrived.wait(10)
    assert own_gate.process
    own_gate.process.signal(signal.SIGTERM)

    def closed() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", own_gate.port)) != 0

    wait_until(closed, 10, "the listener closes")
    assert own_gate.process.running()
    echo.release.set()
    in_flight.join(15)
    assert [answer.status_code for answer in answers] == [200]
    assert own_gate.process.child.wait(15) == 0


def one_clear_line(gate: Gate, *names: str) -> None:
    process = gate.launch()
    assert process.child.wait(15) == 1
    lines = [line for line in process.log.read_text().splitlines() if line.startswith("smartgate: ")]
    assert len(lines) == 1, process.log.read_text()
    for name in names:
        assert name in lines[0]
    assert "panicked" not in process.log.read_text()


def test_a_taken_port(own_gate: Gate) -> None:
    with socket.create_server(("127.0.0.1", own_gate.port)):
        one_clear_line(own_gate, f"127.0.0.1:{own_gate.port}")


def test_a_taken_admin_port(own_gate: Gate) -> None:
    with socket.create_server(("127.0.0.1", own_gate.admin_port)):
        one_clear_line(own_gate, f"127.0.0.1:{own_gate.admin_port}")


def test_a_store_that_cannot_be_made(own_gate: Gate) -> None:
    (own_gate.folder / "file").write_text("a file is no folder")
    own_gate.config["store"]["url"] = f"sqlite:{own_gate.folder / 'file' / 'state.db'}"
    own_gate.write()
    one_clear_line(own_gate, "store")


def test_a_bad_server_key(own_gate: Gate, certificate: tuple[Path, Path]) -> None:
    key = own_gate.folder / "bad-key.pem"
    key.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    own_gate.config["server"]["tls"] = {"cert": str(certificate[0]), "key": str(key)}
    own_gate.config["server"]["public_url"] = own_gate.url.replace("http:", "https:")
    own_gate.write()
    process = own_gate.launch()
    assert process.child.wait(15) == 1
    assert "bad-key.pem" in process.log.read_text() or "cert" in process.log.read_text()


def test_a_configuration_that_is_wrong(own_gate: Gate) -> None:
    own_gate.config["fhir"]["version"] = "R9"
    own_gate.config["tokens"] = {"algoritm": "ES256"}
    own_gate.write()
    process = own_gate.launch()
    assert process.child.wait(15) == 1
    text = process.log.read_text()
    assert "version" in text and "algoritm" in text, "every error at once"
    assert str(own_gate.config_file.name) in text


def test_the_fhir_server_goes_away_and_comes_back(own_gate: Gate, keys: object, tmp_path: Path) -> None:
    server = FhirServer(tmp_path / "upstream")
    try:
        server.post((Path(__file__).parent / "data" / "shared.json").read_bytes())
        own_gate.config["fhir"]["upstream"] = server.base
        own_gate.write()
        own_gate.start()

        def read() -> httpx.Response:
            return httpx.get(f"{own_gate.fhir}/Organization/riverside", headers=bearer(own_gate.token("system/Organization.rs")))

        assert read().status_code == 200
        server.stop()
        away = read()
        assert away.status_code == 502
        assert away.json()["resourceType"] == "OperationOutcome"
        assert rule(away) == "upstream-unreachable"
        assert server.base not in away.text
        assert httpx.get(f"{own_gate.admin}/healthz").status_code == 200, "it is not the gate that is ill"
        server.restart()
        assert read().status_code == 200
    finally:
        server.stop()


def test_row_242_logs_hold_no_tokens_and_no_search_values(gate: Gate) -> None:
    token = gate.token("patient/Patient.rs", patient="amy")
    answer = httpx.get(f"{gate.fhir}/Patient?name=Shaw-of-Springfield", headers=bearer(token))
    assert answer.status_code == 200
    line = gate.audit(answer.headers["x-request-id"])
    assert line["parameters"] == ["name"]
    for log in (gate.log, gate.audit_file):
        text = log.read_text()
        assert "Shaw-of-Springfield" not in text
        assert token not in text and token.split(".")[1] not in text


def test_row_242_an_authorization_leaves_no_secret_in_the_logs(smart: Gate) -> None:
    """Launch, login, code, tokens, refresh, assertion, introspection and revocation of one EHR launch."""
    said = launch(smart, patient="ben", intent="an-intent-of-this-test", tenant="a-tenant-of-this-test").json()
    authorization = Authorization(smart, "app", scope="launch openid patient/*.rs offline_access")
    person = Person(smart).open(authorization.url(launch=said["launch"], nonce="a-nonce-of-this-test")).log_in("carter")
    code = person.landed()["code"]
    found = token(smart, authorization, code).json()
    again = post(smart, "token", {"grant_type": "refresh_token", "refresh_token": found["refresh_token"], "client_id": "app"}).json()
    proof = assertion(smart, smart.keys.rsa, "backend-rsa")
    post(smart, "token", {"grant_type": "client_credentials", "scope": "system/*.rs", **proof}).raise_for_status()
    post(smart, "introspect", {"token": found["access_token"]}, auth=("resource-server", SECRET)).raise_for_status()
    last = post(smart, "revoke", {"token": again["refresh_token"], "client_id": "app"}).raise_for_status()
    smart.audit(last.headers["x-request-id"])
    secrets = [
        said["launch"], said["start_url"].split("ticket=")[1], PASSWORD, SECRET, code, authorization.verifier, authorization.state, proof["client_assertion"],
        *(of[name] for of in (found, again) for name in ("access_token", "refresh_token", "id_token")), "of-this-test", *person.http.cookies.values(),
    ]
    for log in (smart.log, smart.audit_file):
        text = log.read_text()
        assert [secret for secret in secrets if secret in text] == [], log


def test_a_log_that_nobody_can_take_ends_nothing(own_gate: Gate) -> None:
    """Neither requests nor the gate: not when whoever read standard error went away, nor when its disk is full."""
    reader, log = os.pipe()
    os.close(reader)
    with subprocess.Popen([BINARY, "--config", own_gate.config_file, "run"], stderr=log, cwd=own_gate.folder) as process:
        os.close(log)
        try:
            wait_until(lambda: answers(f"{own_gate.admin}/readyz"), 30, "the gate without a log")
            for _ in range(3):
                assert httpx.get(f"{own_gate.fhir}/Patient/amy", headers=bearer(own_gate.token(SCOPE, patient="amy"))).status_code == 200
                process.send_signal(signal.SIGHUP)
            wait_until(lambda: own_gate.metrics()['smartgate_reloads_total{outcome="unchanged"}'] > 0, 10, "a reload, which is logged")
        finally:
            process.terminate()
    assert process.returncode == 0


def test_time_is_not_spent_waiting(gate: Gate) -> None:
    """No delay that acknowledgements or timers would add: forty requests one after the other take moments."""
    token = bearer(gate.token("system/Organization.rs"))
    with httpx.Client(headers=token) as client:
        begun = time.monotonic()
        for _ in range(40):
            assert client.get(f"{gate.fhir}/Organization/riverside").status_code == 200
        assert time.monotonic() - begun < 4
