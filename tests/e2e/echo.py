"""An upstream that answers every request with what it was sent."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CAPABILITIES = {
    "resourceType": "CapabilityStatement", "status": "active", "date": "2026-01-01", "kind": "instance", "fhirVersion": "4.0.1",
    "format": ["json"], "rest": [{"mode": "server", "resource": [{"type": "Patient", "interaction": [{"code": "read"}]}]}],
}


class EchoServer:
    """`Patient/ID` comes back with the request's headers in `text`; it can be told to wait before it answers."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        # Of each request the port it came from, and with TLS the client's certificate.
        self.peers: list[tuple[int, dict[str, Any]]] = []
        self.arrived = threading.Event()
        self.release = threading.Event()
        self.release.set()
        echo = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                if self.path.endswith("/metadata"):
                    return self.answer(CAPABILITIES)
                echo.requests.append(f"{self.command} {self.path}")
                echo.peers.append((self.client_address[1], getattr(self.connection, "getpeercert", dict)()))
                echo.arrived.set()
                echo.release.wait(30)
                headers = {name.lower(): value for name, value in self.headers.items()}
                identity = self.path.split("?")[0].rsplit("/", 1)[-1]
                text = {"status": "generated", "div": json.dumps(headers)}
                self.answer({"resourceType": "Patient", "id": identity, "text": text, "meta": {"versionId": "1"}})

            def answer(self, resource: dict[str, Any]) -> None:
                body = json.dumps(resource).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/fhir+json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.base = f"http://127.0.0.1:{self.server.server_address[1]}/fhir"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.release.set()
        self.server.shutdown()
        self.server.server_close()


def headers_seen(patient: dict[str, Any]) -> dict[str, str]:
    return json.loads(patient["text"]["div"])
