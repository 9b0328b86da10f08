"""The long run of `make soak`, short: its apps, disturbances and explanations are right. How memory behaves, an hour tells."""

from __future__ import annotations

import subprocess
import sys

from sandbox import ROOT


def test_nothing_unexplained() -> None:
    done = subprocess.run([sys.executable, ROOT / "tools" / "soak", "--minutes", "0.3"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "soak: nothing unexplained" in done.stdout
