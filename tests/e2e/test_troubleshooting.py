"""docs/troubleshooting.md explains what the code says: the closed sets of the authorization server, and log lines that exist.

The rules of FHIR requests are checked where they are listed (`src/decide/tests.rs`)."""

from __future__ import annotations

import re

import pytest

from sandbox import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
CLOSED_SETS = ["src/auth/error.rs", "src/auth/register.rs", "src/auth/userinfo.rs"]
# `(…, "invalid_request", "the text")`, whose text may go on in the next line.
TEXT = re.compile(r'"([a-z_]+)",\s*"((?:[^"\\]|\\\n\s*)+)",?\s*\)')


def closed_set(file: str) -> list[tuple[str, str]]:
    return [(error, re.sub(r"\\\n\s*", "", text)) for error, text in TEXT.findall((ROOT / file).read_text())]


@pytest.mark.parametrize("file", CLOSED_SETS)
def test_every_error_of_the_authorization_server_is_explained(file: str) -> None:
    rows = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]
    explained = {(error, row[1]) for row in rows if len(row) > 2 for error in re.findall(r"`(\w+)`", row[0])}
    found = closed_set(file)
    assert len(found) > 3
    assert [it for it in found if it not in explained] == []


def test_every_rule_is_explained_also_one_that_is_not_listed() -> None:
    sources = "".join(file.read_text() for file in (ROOT / "src").rglob("*.rs") if not file.stem.endswith("tests"))
    rules = set(re.findall(r'Rule::(?:bad_request|forbidden|unauthorized|other)\(\s*"([a-z-]+)"', sources))
    assert len(rules) > 70
    assert [rule for rule in sorted(rules) if f"| `{rule}` |" not in PAGE] == []


def test_every_page_for_people_is_explained() -> None:
    names = re.findall(r'Self::\w+ => "([a-z-]+)",', (ROOT / "src/auth/error.rs").read_text())
    assert len(names) > 3 and all(f"| `{name}` |" in PAGE for name in names)


def test_every_log_line_that_is_explained_is_still_there() -> None:
    (_, section) = PAGE.split("## Log lines\n")
    lines = re.findall(r"^\| ([^|]+) \| [^|]*\|$", section, re.M)
    sources = re.sub(r"\\\n\s*", "", "".join(file.read_text() for file in (ROOT / "src").rglob("*.rs") if not file.stem.endswith("tests")))
    lines = [line for line in lines if line != "line"]
    assert len(lines) > 20
    assert [line for line in lines if f'"{line}"' not in sources] == []
