"""No row of the list of attacks is without a test: `tools/corpus-rows` prints which ones stand for which."""

from __future__ import annotations

import subprocess
import sys

from sandbox import ROOT


def test_every_row_has_a_test() -> None:
    found = subprocess.run([sys.executable, ROOT / "tools" / "corpus-rows"], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
