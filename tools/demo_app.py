"""Serves the demo's app, which is the files of tools/demo-app and the settings that they fetch. Standard library only."""

from __future__ import annotations

import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

FILES = Path(__file__).resolve().parent / "demo-app"


class DemoApp:
    """Listens on `port` of the loopback address until it is stopped."""

    def __init__(self, port: int, settings: dict[str, Any]) -> None:
        class Handler(SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path != "/settings.json":
                    return super().do_GET()
                body = json.dumps(settings).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def end_headers(self) -> None:
                self.send_header("Cache-Control", "no-store")
                super().end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, directory=str(FILES)))
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a browser hangs up when it likes
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
