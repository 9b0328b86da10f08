"""Spans as an OpenTelemetry collector gets them (`[traces]`); the binary must be built with `--features otel`, as `make test` does."""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from echo import EchoServer, headers_seen
from harness import PASSWORD, SECRET, Gate, bearer
from pages import Authorization, Person
from sandbox import FhirServer, free_port, wait_until

KEY = "the-key-of-the-collector"


class Collector:
    """Takes spans over OTLP/HTTP, or answers what it is told to."""

    def __init__(self, port: int) -> None:
        self.spans: list[Span] = []
        self.requests: list[tuple[str, dict[str, str], ExportTraceServiceRequest]] = []
        self.raw = b""
        self.status = 200
        self.rejected = 0
        self.arrived = threading.Event()
        self.release = threading.Event()
        self.release.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.arrived.set()
                outer.release.wait(30)
                answer = ExportTraceServiceResponse()
                if outer.status == 200:
                    outer.take(self.path, dict(self.headers), body)
                    answer.partial_success.rejected_spans = outer.rejected
                self.send_response(outer.status)
                self.send_header("Content-Type", "application/x-protobuf")
                self.end_headers()
                self.wfile.write(answer.SerializeToString())

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        self.requests.append((path, {name.lower(): value for name, value in headers.items()}, request))
        self.raw += body
        self.spans += [span for of in request.resource_spans for scope in of.scope_spans for span in scope.spans]

    def of(self, request_id: str) -> Span:
        """The span of one request; it comes behind the answer."""
        found = wait_until(lambda: [it for it in self.spans if attributes(it).get("smartgate.request_id") == request_id], 10, "the span")
        assert isinstance(found, list) and len(found) == 1
        return found[0]

    def below(self, span: Span) -> list[Span]:
        """Its children, which are there before it is."""
        return [it for it in self.spans if it.parent_span_id == span.span_id]

    def stop(self) -> None:
        self.release.set()
        self.server.shutdown()
        self.server.server_close()


def attributes(of: Any) -> dict[str, Any]:
    return {it.key: getattr(it.value, it.value.WhichOneof("value")) for it in of.attributes}


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def collector(port: int) -> Iterator[Collector]:
    made = Collector(port)
    yield made
    made.stop()


@pytest.fixture
def echo() -> Iterator[EchoServer]:
    server = EchoServer()
    yield server
    server.stop()


@pytest.fixture
def traced(own_gate: Gate, port: int) -> Gate:
    (own_gate.folder / "collector-key").write_text(KEY)
    own_gate.config["traces"] = {
        "url": f"http://127.0.0.1:{port}/v1/traces", "one_in": 1, "service_name": "the-gate", "headers": {"x-collector-key": "file:collector-key"},
    }
    own_gate.write()
    return own_gate


@pytest.fixture
def echoing(traced: Gate, echo: EchoServer) -> Gate:
    traced.config["fhir"]["upstream"] = echo.base
    traced.write()
    return traced.start()


def parent(flags: str = "01") -> tuple[str, str, str]:
    """A caller's trace and span, and its `traceparent`."""
    trace, span = secrets.token_hex(16), secrets.token_hex(8)
    return trace, span, f"00-{trace}-{span}-{flags}"


def read(gate: Gate, **headers: str) -> httpx.Response:
    answer = httpx.get(f"{gate.fhir}/Patient/amy", headers={**bearer(gate.token("patient/Patient.rs", patient="amy")), **headers})
    assert answer.status_code == 200, answer.text
    return answer


def test_a_request_is_a_span_of_its_callers_trace_and_the_fhir_servers_is_below_it(echoing: Gate, collector: Collector) -> None:
    trace, caller, traceparent = parent()
    before = time.time_ns()
    answer = read(echoing, traceparent=traceparent, tracestate="rojo=1")
    span = collector.of(answer.headers["x-request-id"])
    [asked] = collector.below(span)
    assert (span.name, span.kind, span.status.code) == ("read Patient", Span.SPAN_KIND_SERVER, Status.STATUS_CODE_UNSET)
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (trace, caller)
    assert attributes(span) == {
        "http.request.method": "GET", "http.response.status_code": 200, "smartgate.request_id": answer.headers["x-request-id"],
        "smartgate.interaction": "read", "smartgate.resource_type": "Patient", "smartgate.decision": "permit",
        "smartgate.rule": echoing.audit(answer.headers["x-request-id"])["rule"], "smartgate.path": "guard",
    }
    assert (asked.name, asked.kind, asked.trace_id) == ("GET", Span.SPAN_KIND_CLIENT, span.trace_id)
    assert attributes(asked) == {"http.request.method": "GET", "http.response.status_code": 200}
    times = [before, span.start_time_unix_nano, asked.start_time_unix_nano, asked.end_time_unix_nano, span.end_time_unix_nano, time.time_ns()]
    assert times == sorted(times) and asked.start_time_unix_nano < asked.end_time_unix_nano
    seen = headers_seen(answer.json())
    assert (seen["traceparent"], seen["tracestate"]) == (f"00-{trace}-{asked.span_id.hex()}-01", "rojo=1")
    path, headers, request = collector.requests[0]
    assert (path, headers["content-type"], headers["x-collector-key"]) == ("/v1/traces", "application/x-protobuf", KEY)
    assert attributes(request.resource_spans[0].resource).items() >= {"service.name": "the-gate"}.items()
    assert wait_until(lambda: echoing.metrics()["smartgate_spans_exported_total"] == len(collector.spans), 5, "the metric")


def test_who_calls_says_whether_it_is_recorded_and_one_in_where_nobody_says(echoing: Gate, collector: Collector) -> None:
    _, _, unrecorded = parent("00")
    assert headers_seen(read(echoing, traceparent=unrecorded).json())["traceparent"] == unrecorded, "as it came"
    of_its_own = read(echoing)
    span = collector.of(of_its_own.headers["x-request-id"])
    assert span.parent_span_id == b"" and any(span.trace_id)
    assert {it.trace_id for it in collector.spans} == {span.trace_id}, "the one before it left none"
    echoing.config["traces"]["one_in"] = 0
    echoing.write()
    wait_until(lambda: "traceparent" not in headers_seen(read(echoing).json()), 10, "the reload")
    quiet = read(echoing).headers["x-request-id"]
    _, _, recorded = parent()
    collector.of(read(echoing, traceparent=recorded).headers["x-request-id"])
    assert quiet not in {attributes(it).get("smartgate.request_id") for it in collector.spans}


def test_what_is_refused_is_told_by_its_rule(echoing: Gate, collector: Collector) -> None:
    token = bearer(echoing.token("patient/Patient.rs", patient="amy"))
    refused = collector.of(httpx.get(f"{echoing.fhir}/Condition", headers=token).headers["x-request-id"])
    told = attributes(refused)
    assert (refused.name, told["smartgate.decision"], told["http.response.status_code"]) == ("search-type Condition", "refuse", 403)
    assert told["smartgate.rule"] and collector.below(refused) == [] and refused.status.code == Status.STATUS_CODE_UNSET
    unknown = collector.of(httpx.request("PURGE-AMY", f"{echoing.fhir}/Patient/amy").headers["x-request-id"])
    assert (unknown.name, attributes(unknown)["http.request.method"]) == ("_OTHER", "_OTHER")


def test_a_fhir_server_that_is_not_there_is_an_error(traced: Gate, collector: Collector) -> None:
    traced.config["fhir"]["upstream"] = f"http://127.0.0.1:{free_port()}/fhir"
    traced.write()
    traced.start()
    answer = httpx.get(f"{traced.fhir}/Patient/amy", headers=bearer(traced.token("patient/Patient.rs", patient="amy")))
    assert answer.status_code == 502
    failed = collector.of(answer.headers["x-request-id"])
    [asked] = collector.below(failed)
    assert attributes(asked)["error.type"] == attributes(failed)["smartgate.rule"] == "upstream-unreachable"
    assert failed.status.code == asked.status.code == Status.STATUS_CODE_ERROR


def test_spans_name_nobody(traced: Gate, collector: Collector, upstream: FhirServer) -> None:
    traced.start()
    token = traced.token("patient/*.rs", patient="amy", sub="of-the-subject", client_id="of-the-client")
    with httpx.Client(headers={**bearer(token), "tracestate": "rojo=of-the-state", "baggage": "of=the-baggage"}) as client:
        for path in ("/Patient/amy", "/Observation?patient=amy&code=of-the-code", "/Patient/amy/_history/of-the-version", "/Patient/amy/$of-the-operation",
                     "/OfTheType/of-the-id", "/Patient/ben", "/Patient?access_token=of-the-query"):
            client.get(f"{traced.fhir}{path}")
        entry = [{"request": {"method": "GET", "url": f"Patient/{identity}"}} for identity in ("amy", "amy")]
        batch = client.post(traced.fhir, json={"resourceType": "Bundle", "type": "batch", "entry": entry}, headers={"Content-Type": "application/fhir+json"})
        assert batch.status_code == 200
    authorization = Authorization(traced, "growth-chart", scope="launch/patient patient/Patient.rs")
    Person(traced).open(authorization.url()).log_in("amy")
    credentials = {"grant_type": "client_credentials", "scope": "system/Observation.rs"}
    issued = httpx.post(f"{traced.url}/auth/token", data=credentials, auth=("backend-secret", SECRET))
    assert issued.status_code == 200
    of_token = collector.of(issued.headers["x-request-id"])
    assert (of_token.name, of_token.kind) == ("POST /auth/token", Span.SPAN_KIND_SERVER)
    assert attributes(of_token).items() >= {"http.route": "/auth/token", "http.response.status_code": 200, "smartgate.interaction": "auth"}.items()
    of_batch = collector.of(batch.headers["x-request-id"])
    assert {it.trace_id for it in collector.below(of_batch)} == {of_batch.trace_id}
    names = {span.name for span in collector.spans}
    assert {"read Patient", "search-type Observation", "POST /auth/login", "GET /auth/authorize"} <= names, names
    raw = collector.raw.lower()
    said = [b"amy", b"ben", b"of-the-", b"of=the", b"oftype", b"ofthe", b"growth-chart", b"backend-secret", b"127.0.0.1", b"bearer", b"access_token"]
    for secret in (*said, token.encode(), SECRET.encode(), PASSWORD.encode(), issued.json()["access_token"].encode(), KEY.encode()):
        assert secret.lower() not in raw, secret
    known = {"http.request.method", "http.response.status_code", "http.route", "error.type", "smartgate.request_id", "smartgate.interaction",
             "smartgate.resource_type", "smartgate.decision", "smartgate.rule", "smartgate.path"}
    assert {key for span in collector.spans for key in attributes(span)} <= known


def test_a_collector_that_is_away_is_felt_by_nobody_and_counted(echoing: Gate, port: int) -> None:
    lost = 'smartgate_spans_lost_total{reason="not_taken"}'
    for _ in range(20):
        read(echoing)
    wait_until(lambda: echoing.metrics()[lost] == 40, 10, "the metric")
    assert echoing.metrics()["smartgate_spans_exported_total"] == 0
    warned = [line for line in echoing.log.read_text().splitlines() if "does not take spans" in line]
    assert warned and str(port) not in warned[0].split("why=")[0]
    collector = Collector(port)
    try:
        collector.of(read(echoing).headers["x-request-id"])
        wait_until(lambda: echoing.metrics()["smartgate_spans_exported_total"] == 2, 5, "what it took")
        collector.status = 503
        read(echoing)
        wait_until(lambda: echoing.metrics()[lost] == 42, 10, "what it did not take")
        collector.status, collector.rejected = 200, 1
        read(echoing)
        wait_until(lambda: echoing.metrics()[lost] == 43, 10, "what it took in part")
    finally:
        collector.stop()


def test_a_collector_that_is_silent_is_not_waited_for(echoing: Gate, collector: Collector) -> None:
    collector.release.clear()
    first = read(echoing)
    assert collector.arrived.wait(10)
    for _ in range(20):
        last = read(echoing)
    assert collector.spans == [], "it is silent still"
    collector.release.set()
    assert collector.of(first.headers["x-request-id"]) and collector.of(last.headers["x-request-id"])


def test_the_last_spans_are_sent_before_the_end(echoing: Gate, collector: Collector) -> None:
    answer = read(echoing)
    assert echoing.stop() == 0
    sent = {attributes(span).get("smartgate.request_id") for span in collector.spans}
    assert answer.headers["x-request-id"] in sent


def test_without_the_section_nothing_is_recorded(own_gate: Gate, echo: EchoServer) -> None:
    own_gate.config["fhir"]["upstream"] = echo.base
    own_gate.write()
    own_gate.start()
    _, _, traceparent = parent()
    assert headers_seen(read(own_gate, traceparent=traceparent).json())["traceparent"] == traceparent
    assert "traceparent" not in headers_seen(read(own_gate).json())
    counted = {name: it for name, it in own_gate.metrics().items() if re.match("smartgate_spans", name)}
    assert len(counted) == 3 and not any(counted.values()), counted
