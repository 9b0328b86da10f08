"""AuditEvents of IHE's Basic Audit Log Patterns, as a FHIR endpoint gets them: valid, all of them, once the endpoint is there."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from fhir.resources.R4B.auditevent import AuditEvent

from harness import Gate, bearer
from pages import Authorization, Person
from sandbox import free_port, wait_until

PROFILE = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
# What the profiles of BALP 1.1 require: action, the client's and the server's role, and the entities by type and role.
CLIENT_SERVER = {
    "Read": ("R", "110152", "110153"), "Query": ("E", "110153", "110152"), "Create": ("C", "110153", "110152"),
    "Update": ("U", "110153", "110152"), "Delete": ("D", "110150", "custodian"),
}


class Repository:
    """An audit record repository: takes AuditEvents alone and in batches, answers as it is told."""

    def __init__(self, port: int) -> None:
        self.events: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str | None]] = []
        self.status: Callable[[dict[str, Any]], int] = lambda event: 201
        self.batches = True
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append((self.path, self.headers["Authorization"]))
                if body["resourceType"] == "AuditEvent":
                    self.answer(outer.take(body), {})
                elif not outer.batches:
                    self.answer(400, {})
                else:
                    assert (self.path.rstrip("/"), body["type"]) == ("/fhir", "batch")
                    entries = [{"response": {"status": f"{outer.take(entry['resource'])} Said"}} for entry in body["entry"]]
                    self.answer(200, {"resourceType": "Bundle", "type": "batch-response", "entry": entries})

            def answer(self, status: int, body: dict[str, Any]) -> None:
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, event: dict[str, Any]) -> int:
        status = self.status(event)
        if status == 201:
            self.events.append(event)
        return status

    def of(self, request_id: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["entity"][0]["what"]["identifier"]["value"] == request_id]

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def audited(own_gate: Gate, port: int) -> Gate:
    (own_gate.folder / "audit-token").write_text("a-token-of-the-repository")
    own_gate.config["audit.fhir"] = {
        "url": f"http://127.0.0.1:{port}/fhir", "auth": {"kind": "bearer", "token": "file:audit-token"}, "spool": str(own_gate.folder / "log" / "spool"),
    }
    own_gate.write()
    return own_gate.start()


@pytest.fixture
def repository(port: int) -> Iterator[Repository]:
    made = Repository(port)
    yield made
    made.stop()


def read(gate: Gate) -> str:
    answer = httpx.get(f"{gate.fhir}/Patient/amy", headers=bearer(gate.token("patient/Patient.rs", patient="amy")))
    assert answer.status_code == 200
    return answer.headers["x-request-id"]


def kept(event: dict[str, Any]) -> None:
    """Holds an event against FHIR R4 and, where it claims one, against its profile."""
    AuditEvent.model_validate(event)
    profiles = event.get("meta", {}).get("profile", [])
    assert (event["outcome"] == "0") or not profiles
    for profile in profiles:
        name = profile.removeprefix(PROFILE)
        action, client, server = CLIENT_SERVER[name.removeprefix("Patient")]
        assert event["type"] == {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest", "display": "Restful Operation"}
        assert event["action"] == action and event["subtype"][0]["system"] == "http://hl7.org/fhir/restful-interaction"
        roles = {agent["type"]["coding"][0]["code"]: agent for agent in event["agent"]}
        for role in (client, server):
            assert roles[role]["who"] and roles[role]["network"]["address"] and roles[role]["network"]["type"]
        for agent in event["agent"][2:]:
            assert agent["requestor"] is True and agent["who"] and "network" not in agent
        entities = {(entity["type"]["code"], entity.get("role", {}).get("code")): entity for entity in event["entity"]}
        assert entities["XrequestId", None]["what"]["identifier"]["value"]
        if name.endswith("Query"):
            assert "what" not in entities["2", "24"] and base64.b64decode(entities["2", "24"]["query"])
        else:
            assert entities["2", "4"]["what"]
        if name.startswith("Patient"):
            assert entities["1", "1"]["what"]["reference"].split("/")[-2] == "Patient"


def test_every_decision_and_event_is_a_valid_audit_event(audited: Gate, repository: Repository) -> None:
    token = bearer(audited.token("patient/*.cruds", patient="amy", sub="amy", fhirUser="Patient/amy"))
    json_ = {"Content-Type": "application/fhir+json"}
    observation = {"resourceType": "Observation", "status": "final", "code": {"text": "weight"}, "subject": {"reference": "Patient/amy"}}
    with httpx.Client(base_url=audited.fhir, headers=token, timeout=30) as app:
        answers = [app.get("/Patient/amy"), app.get("/Observation?category=laboratory"), app.get("/Patient/ben"), app.get("/Observation/_history")]
        created = app.post("/Observation", json=observation, headers=json_)
        answers.append(created)
        if created.status_code == 201:
            where = created.headers["location"].split("/_history")[0]
            changed = {**created.json(), "status": "amended"} if created.content else {**observation, "id": where.rsplit("/", 1)[1], "status": "amended"}
            answers += [app.put(where, json=changed, headers=json_), app.delete(where)]
            # Where the gate refuses that, since the FHIR server would not obey `If-Match`, it is put away behind its back.
            httpx.delete(where.replace(audited.fhir, audited.config["fhir"]["upstream"]))
        batch = {"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "GET", "url": "Patient/amy"}}]}
        answers.append(app.post("", json=batch, headers=json_))
    answers.append(httpx.get(f"{audited.fhir}/Patient/amy"))
    person = Authorization(audited)
    person.redeem(Person(audited).open(person.url()).log_in("amy").decide(allow=True).landed()["code"]).raise_for_status()
    lines = wait_until(lambda: len(found := audited.audit_file.read_text().splitlines()) >= len(answers) + 4 and found, 10, "the audit lines")
    wait_until(lambda: len(repository.events) >= len(lines), 20, "as many audit events")  # type: ignore[arg-type]
    for event in repository.events:
        kept(event)
    assert {f"{PROFILE}PatientRead", f"{PROFILE}PatientQuery"} <= {profile for event in repository.events for profile in event.get("meta", {}).get("profile", [])}
    assert {"login", "token"} <= {event["subtype"][0]["code"] if event["type"]["code"] != "110114" else event["subtype"][0]["display"].lower() for event in repository.events if event.get("subtype")}
    for answer in answers:
        assert len(repository.of(answer.headers["x-request-id"])) in (1, 2), answer.url
    (search,) = repository.of(answers[1].headers["x-request-id"])
    assert "laboratory" not in base64.b64decode(search["entity"][1]["query"]).decode()
    assert {authorization for _, authorization in repository.asked} == {"Bearer a-token-of-the-repository"}
    shown = wait_until(lambda: (it := audited.metrics())["smartgate_audit_spool_bytes"] == 0 and it, 10, "an empty spool")
    assert shown["smartgate_audit_events_sent_total"] == len(repository.events)  # type: ignore[index]


def test_an_endpoint_that_is_away_loses_nothing_across_restarts(audited: Gate, port: int) -> None:
    ids = [read(audited) for _ in range(3)]
    wait_until(lambda: audited.metrics()["smartgate_audit_send_errors_total"] >= 1, 10, "a failure is counted")
    assert "trying again until they can why=Connection refused" in audited.log.read_text()
    shown = audited.metrics()
    assert shown["smartgate_audit_spool_bytes"] > 0 and shown["smartgate_audit_events_sent_total"] == 0
    assert audited.stop() == 0
    audited.start()
    ids.append(read(audited))
    repository = Repository(port)
    try:
        wait_until(lambda: len(repository.events) >= 4, 40, "every event arrives")
        assert [event["entity"][0]["what"]["identifier"]["value"] for event in repository.events] == ids, "in order, each once"
    finally:
        repository.stop()


def test_one_bad_event_does_not_hold_up_the_others(audited: Gate, repository: Repository) -> None:
    repository.status = lambda event: 422 if event["outcome"] == "4" else 201
    httpx.get(f"{audited.fhir}/Patient/amy")
    last = read(audited)
    wait_until(lambda: repository.of(last), 20, "the good one arrives")
    assert audited.metrics()["smartgate_audit_events_rejected_total"] == 1
    aside = [json.loads(line) for line in (audited.folder / "log" / "spool" / "rejected.jsonl").read_text().splitlines()]
    assert [line["rule"] for line in aside] == ["token-missing"]


def test_an_endpoint_without_batches(audited: Gate, repository: Repository) -> None:
    repository.batches = False
    ids = [read(audited) for _ in range(5)]
    wait_until(lambda: len(repository.events) >= 5, 20, "one by one")
    assert sorted(event["entity"][0]["what"]["identifier"]["value"] for event in repository.events) == sorted(ids)


@pytest.mark.parametrize("on_full", ["block", "shed"])
def test_a_full_spool_is_felt_and_counted(own_gate: Gate, port: int, on_full: str) -> None:
    own_gate.config["audit"]["on_full"] = on_full
    own_gate.config["audit.fhir"] = {"url": f"http://127.0.0.1:{port}/fhir", "spool": str(own_gate.folder / "log" / "spool"), "spool_bytes": 65536}
    own_gate.write()
    own_gate.start()
    token = bearer(own_gate.token("patient/Patient.rs", patient="amy"))
    waits = 0
    with httpx.Client(headers=token, timeout=1) as app:
        for _ in range(20000):
            try:
                app.get(f"{own_gate.fhir}/Observation")
            except httpx.TimeoutException:
                waits += 1
                break
            if on_full == "shed" and _ % 500 == 499 and own_gate.metrics()["smartgate_audit_lines_shed_total"] > 0:
                break
    shown = own_gate.metrics()
    assert shown["smartgate_audit_write_errors_total"] > 0
    assert (waits > 0, shown["smartgate_audit_lines_shed_total"] > 0) == (on_full == "block", on_full == "shed")
    repository = Repository(port)
    try:
        wait_until(lambda: httpx.get(f"{own_gate.fhir}/Patient/amy", headers=token, timeout=1).status_code == 200 if on_full == "shed" else own_gate.metrics()["smartgate_audit_spool_bytes"] < 65536,
                   60, "it goes on by itself")
    finally:
        repository.stop()
