"""The tests of the repository by what their names say they stand for: rows of the list of attacks, duties of SMART App Launch.

A name begins with what it is for: `row_214_…`, `row_206_and_208_…`, `al_13_…`, `AL_13_SC_33_row_215_…` (in Python behind `test_`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUST = ("tests/proxy/*.rs", "tests/interference/*.rs", "src/**/*.rs")
PYTHON = ("tests/e2e/*.py",)

FUNCTION = re.compile(r"#\[(?:tokio::)?test[^\]]*\]\s+(?:async )?fn (\w+)|^def test_(\w+)", re.M)
CHAPTERS = "AL AS BP BR BS CA CF CS RF SC TI TL"
PURPOSE = re.compile(rf"(row|{'|'.join(CHAPTERS.split())})_(\d+(?:_and_\d+)*)_", re.I)


@dataclass(frozen=True)
class Named:
    """A test, and what its name begins with: `row 214`, `AL-13`."""

    name: str
    place: str
    purposes: tuple[str, ...]


def purposes(name: str) -> Iterator[str]:
    at = 0
    while found := PURPOSE.match(name, at):
        kind, numbers = found.groups()
        for number in map(int, numbers.split("_and_")):
            yield f"row {number}" if kind.lower() == "row" else f"{kind.upper()}-{number}"
        at = found.end()


def named_tests() -> Iterator[Named]:
    for pattern in (*PYTHON, *RUST):
        for file in sorted(ROOT.glob(pattern)):
            text = file.read_text()
            for found in FUNCTION.finditer(text):
                name = found[1] or found[2]
                if of := tuple(purposes(name)):
                    place = f"{file.relative_to(ROOT)}: {'test_' if found[2] else ''}{name}"
                    yield Named(name, place, of)
