"""The committed tables are what FHIR's definitions give (`tools/fhir-tables.py`)."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from sandbox import ROOT


def check(root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, root / "tools" / "fhir-tables.py", "--check"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_generator_gives_the_committed_tables() -> None:
    ran = check(ROOT)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_a_table_that_was_edited_is_told(tmp_path: Path) -> None:
    for folder in ("tools", "src/fhir/tables", "docs"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    table = tmp_path / "src/fhir/tables/r5.tsv"
    table.write_text(table.read_text().replace("subject\tEncounter\tsubject\t", "subject\tEncounter\tparticipant.actor\t"))
    ran = check(tmp_path)
    assert ran.returncode == 1
    assert ran.stdout == "src/fhir/tables/r5.tsv is not what the definitions give\n"
