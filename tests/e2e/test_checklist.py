"""Every duty of SMART App Launch has a test that is named by it, or a sentence why not (tests/checklist.tsv, `tools/checklist`)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from named_tests import purposes
from sandbox import ROOT

# How many duties each chapter of the list has; they are numbered without gaps.
CHAPTERS = {"CF": 25, "AL": 39, "SC": 39, "BS": 11, "CA": 15, "CS": 1, "TI": 5, "BR": 4, "AS": 7, "TL": 1, "BP": 5, "RF": 15}


def check(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, root / "tools" / "checklist"], capture_output=True, text=True, check=False)


def test_every_duty_has_a_test_or_a_sentence() -> None:
    found = check(ROOT)
    assert (found.returncode, found.stderr) == (0, "")


def test_no_duty_is_missing() -> None:
    lines = (ROOT / "tests" / "checklist.tsv").read_text().splitlines()
    duties = [line.split("\t")[0] for line in lines if not line.startswith("#")]
    assert duties == [f"{chapter}-{number}" for chapter, count in CHAPTERS.items() for number in range(1, count + 1)]
    assert all(line.count("\t") == 4 for line in lines if not line.startswith("#"))


@pytest.mark.parametrize(("name", "stands_for"), [
    ("AL_13_row_215_authorize_by_post", ["AL-13", "row 215"]), ("sc_26_sc_27_context", ["SC-26", "SC-27"]), ("row_206_and_208_x", ["row 206", "row 208"]),
    ("BS_3_and_6_x", ["BS-3", "BS-6"]), ("no_AL_13_in_front", []), ("row_of_letters", []), ("al_13", []),
])
def test_a_name_says_what_it_stands_for(name: str, stands_for: list[str]) -> None:
    assert list(purposes(name)) == stands_for


def test_what_is_missing_or_unknown_is_told(tmp_path: Path) -> None:
    for folder in ("tools", "tests/e2e"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("tools/checklist", "tools/named_tests.py"):
        (tmp_path / file).write_text((ROOT / file).read_text())
    (tmp_path / "tests" / "checklist.tsv").write_text("AL-1\tSHALL\tAS\tone\t\nAL-2\tSHALL\tAS\ttwo\t\nAL-3\tMAY\tAS\tthree\tNot offered.\n")
    (tmp_path / "tests" / "e2e" / "test_x.py").write_text("def test_AL_1_x() -> None: ...\ndef helper_AL_2_x() -> None: ...\ndef test_AL_4_x() -> None: ...\n")
    told = check(tmp_path)
    assert told.returncode == 1
    assert told.stderr.splitlines() == ["neither a test nor a sentence: AL-2", "named by a test and not in the list: AL-4"]
    assert "| AL-1 | SHALL | AS | one | `tests/e2e/test_x.py: test_AL_1_x` |" in told.stdout.splitlines()
