"""Requests without a pause, and a look at every answer; a program of its own, so that it and whoever reloads do not wait for
each other. Prints the address of the upstream that it brings along, reads where to send requests and with which token, goes on
until its standard input ends, and prints what it saw."""

from __future__ import annotations

import itertools
import json
import sys
import threading
from collections import Counter

import httpx

from echo import EchoServer, headers_seen

THREADS = 4
ORIGINS = {"a": "https://a.example.org", "b": "https://b.example.org"}
HEADERS = {"a": "X-Client-A", "b": "X-Client-B"}


def which_configuration(client: httpx.Client, url: str, token: str, origin: str) -> str:
    """The configuration that answered, or what is wrong with the answer."""
    answer = client.get(url, headers={"Authorization": f"Bearer {token}", "Origin": ORIGINS[origin]})
    if answer.status_code != 200:
        return f"{answer.status_code}: {answer.text}"
    headers = headers_seen(answer.json())
    told = [name for name in HEADERS if HEADERS[name].lower() in headers]
    if len(told) != 1:
        return f"identity headers of {told}"
    allowed = answer.headers.get("access-control-allow-origin")
    expected = ORIGINS[origin] if told[0] == origin else None
    return told[0] if allowed == expected else f"identity header of {told[0]} with the origin {allowed}, asked from {origin}"


def ask(url: str, token: str, http2: bool, stop: threading.Event, seen: list[str]) -> None:
    with httpx.Client(http1=not http2, http2=http2, timeout=20) as client:
        for origin in itertools.cycle(ORIGINS):
            if stop.is_set():
                return
            try:
                seen.append(which_configuration(client, url, token, origin))
            except (httpx.HTTPError, ValueError) as error:
                seen.append(f"{type(error).__name__}: {error}")


def main() -> None:
    echo = EchoServer()
    print(echo.base, flush=True)
    asked = json.loads(sys.stdin.readline())
    stop, seen = threading.Event(), [list[str]() for _ in range(THREADS)]
    threads = [
        threading.Thread(target=ask, args=(asked["url"], asked["token"], number % 2 == 1, stop, of))
        for number, of in enumerate(seen)
    ]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    echo.stop()
    print(json.dumps(Counter(itertools.chain(*seen))))


if __name__ == "__main__":
    main()
