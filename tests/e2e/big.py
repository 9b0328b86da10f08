"""An upstream whose answers are larger than anything it was asked for."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from echo import CAPABILITIES

MIB = 1024 * 1024
HUGE = 100 * MIB
ENTRIES = 10_000


def observation(number: int) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "id": f"o{number}", "status": "final", "code": {"text": "x" * 200},
        "subject": {"reference": "Patient/amy"},
    }


class BigServer:
    """`Observation/huge` and `Observation?code=huge` are 100 MB, any other search finds 10,000 resources on one page."""

    def __init__(self) -> None:
        entries = [{"resource": observation(number), "search": {"mode": "match"}} for number in range(ENTRIES)]
        bundle = json.dumps({"resourceType": "Bundle", "type": "searchset", "total": ENTRIES, "entry": entries}).encode()
        head, tail = json.dumps({**observation(0), "id": "huge", "code": {"text": "?"}}).encode().split(b"?")

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if self.path.endswith("/metadata"):
                    self.answer([json.dumps(CAPABILITIES).encode()])
                elif self.path.endswith("/huge"):
                    self.answer([head, *[b"x" * MIB] * (HUGE // MIB), tail])
                elif "code=huge" in self.path:
                    self.answer([b'{"resourceType":"Bundle","type":"searchset","entry":[', *[self.entry()] * 100, b'{"resource":' + head + tail + b"}]}"])
                else:
                    self.answer([bundle])

            def entry(self) -> bytes:
                return b'{"resource":' + head + b"x" * MIB + tail + b"},"

            def answer(self, parts: list[bytes]) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "application/fhir+json")
                self.send_header("Content-Length", str(sum(map(len, parts))))
                self.end_headers()
                try:
                    for part in parts:
                        self.wfile.write(part)
                except OSError:
                    # The gate had enough of it.
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.base = f"http://127.0.0.1:{self.server.server_address[1]}/fhir"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
