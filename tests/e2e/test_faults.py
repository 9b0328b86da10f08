"""Each fault of docs/faults.md names a test that there is."""

from __future__ import annotations

import re

import pytest

from sandbox import ROOT

PAGE = ROOT / "docs" / "faults.md"
RUST = re.compile(r"#\[(?:tokio::)?test[^\]]*\]\s+(?:#\[[^\]]*\]\s+)*(?:async )?fn (\w+)")
PYTHON = re.compile(r"^def (test_\w+)", re.M)


def existing_tests() -> dict[str, str]:
    """The names of tests with the text of all files that have them."""
    found: dict[str, str] = {}
    for pattern, names in (("src/**/*.rs", RUST), ("tests/**/*.rs", RUST), ("tests/e2e/*.py", PYTHON)):
        for file in ROOT.glob(pattern):
            for name in names.findall(file.read_text()):
                found[name] = found.get(name, "") + f" {file.relative_to(ROOT)}"
    return found


def test_each_fault_has_a_test() -> None:
    if not PAGE.exists():
        pytest.skip("no faults are listed")
    known = existing_tests()
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    rows = [row for row in rows if row[-1] != "test"]
    assert len(rows) > 20
    for row in rows:
        assert len(row) == 5, f"fault, what clients see, recovery, metric or log, test: {row}"
        named = re.findall(r"`([^`]+)`", row[-1])
        assert named, f"no test: {row[0]}"
        for place in named:
            *module, name = place.split("::")
            assert name in known, f"there is no test {place}"
            assert all(part in known[name] for part in module[:1]), f"{place} is in{known[name]}"
