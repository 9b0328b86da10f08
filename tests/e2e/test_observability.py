"""What `conf/observability` ships is what the real tools take: Prometheus' promtool, Grafana's own types, and the gate's own metrics."""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from harness import Gate, bearer
from sandbox import ROOT

SHIPPED = ROOT / "conf" / "observability"
HERE = ROOT / "tests" / "e2e"
# What Prometheus adds by itself.
TARGET_LABELS = {"job", "instance"}
PROMETHEUS_OWN = {"up", "ALERTS"}


def promtool(*arguments: str) -> str:
    found = shutil.which("promtool", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert found, "promtool is missing: tools/setup test installs it (Debian: apt-get install prometheus)"
    done = subprocess.run([found, *arguments], capture_output=True, text=True, cwd=SHIPPED, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_alerts_load_and_fire_when_they_should() -> None:
    promtool("check", "rules", "alerts.yml")
    promtool("check", "config", "prometheus.yml")
    promtool("test", "rules", "alerts.test.yml")


def test_grafana_knows_every_key_of_the_dashboard(tmp_path: Path) -> None:
    """The TypeScript compiler holds the dashboard against the types that Grafana publishes."""
    (tmp_path / "node_modules").symlink_to(HERE / "node_modules")
    dashboard = (SHIPPED / "smartgate-dashboard.json").read_text()
    types = (HERE / "clients" / "dashboard.ts").read_text()

    def checked(text: str) -> str:
        (tmp_path / "dashboard.ts").write_text(types.replace("/* the dashboard */", text))
        compiler = HERE / "node_modules" / "typescript" / "bin" / "tsc"
        options = ["--strict", "--noEmit", "--skipLibCheck", "--module", "nodenext", "--target", "es2022"]
        return subprocess.run(["node", compiler, *options, "dashboard.ts"], capture_output=True, text=True, cwd=tmp_path, timeout=120).stdout

    assert checked(dashboard) == ""
    assert "gridPosition" in checked(dashboard.replace('"gridPos"', '"gridPosition"', 1)), "it can fail"


def expressions() -> Iterator[tuple[str, str]]:
    """Every PromQL expression that is shipped, and where it stands."""
    dashboard = json.loads((SHIPPED / "smartgate-dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield f"panel {panel['title']}", target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield f"variable {variable['name']}", variable["query"]
    for rule in alerts():
        yield rule["alert"], rule["expr"]


def alerts() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load((SHIPPED / "alerts.yml").read_text())["groups"] for rule in group["rules"]]


def exposed(text: str) -> dict[str, dict[str, set[str]]]:
    """Series by name, with the values of each label."""
    found: dict[str, dict[str, set[str]]] = {}
    for name, labels in re.findall(r"^([a-z_]+)(?:\{(.*)\})? \S+$", text, re.M):
        of = found.setdefault(name, {})
        for label, value in re.findall(r'(\w+)="([^"]*)"', labels):
            of.setdefault(label, set()).add(value)
    return found


@pytest.fixture
def metrics(own_gate: Gate, certificate: tuple[Path, Path]) -> dict[str, dict[str, set[str]]]:
    """What a gate shows that has done a bit of everything; in report mode, for what only that counts. Then with a certificate."""
    own_gate.config["enforcement"] = {"mode": "report", "report_until": str(datetime.date.today() + datetime.timedelta(days=30))}
    own_gate.write()
    own_gate.start()
    token = bearer(own_gate.token("patient/Patient.rs", patient="amy"))
    assert httpx.get(f"{own_gate.fhir}/Patient/amy", headers=token).status_code == 200
    assert httpx.get(f"{own_gate.fhir}/Condition", headers=token).status_code == 200, "report mode"
    assert httpx.get(f"{own_gate.fhir}/Patient/amy").status_code == 401
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "GET", "url": "Patient/amy"}}]}
    httpx.post(own_gate.fhir, headers={**token, "Content-Type": "application/fhir+json"}, json=batch).raise_for_status()
    shown = exposed(httpx.get(f"{own_gate.admin}/metrics").text)
    own_gate.stop()
    own_gate.config["server"] |= {"tls": dict(zip(("cert", "key"), map(str, certificate))), "public_url": own_gate.url.replace("http:", "https:")}
    own_gate.write()
    own_gate.start()
    return exposed(httpx.get(f"{own_gate.admin}/metrics").text) | shown


def test_every_metric_and_label_that_is_asked_for_is_there(metrics: dict[str, dict[str, set[str]]]) -> None:
    everywhere = TARGET_LABELS | {"le", "alertname"}
    used = set()
    for place, text in expressions():
        names = set(re.findall(r"\b(?:smartgate|process)_[a-z_]+\b", text))
        used |= names
        assert names or set(re.findall(r"\w+", text)) & PROMETHEUS_OWN, place
        assert names <= set(metrics), (place, names - set(metrics))
        for name, matchers in re.findall(r"\b((?:smartgate|process)_[a-z_]+)\{([^}]*)\}", text):
            for label, operator, value in re.findall(r'(\w+)\s*(=~|!=|!~|=)\s*"([^"]*)"', matchers):
                if label in everywhere:
                    continue
                assert label in metrics[name], (place, name, label)
                if operator in ("=", "!="):
                    assert value in metrics[name][label], (place, name, label, value)
        for by in re.findall(r"by \(([^)]*)\)", text):
            labels = set(filter(None, re.split(r"[\s,]+", by))) - everywhere
            assert labels <= {label for name in names for label in metrics[name]}, (place, by)
    own = {re.sub(r"_(bucket|count|sum)$", "", name) for name in metrics if name.startswith("smartgate_")}
    shown = {re.sub(r"_(bucket|count|sum)$", "", name) for name in used}
    assert own - shown <= {"smartgate_config_generation"}, f"on no panel: {own - shown}"


def test_every_metric_is_documented(metrics: dict[str, dict[str, set[str]]]) -> None:
    documented = dict(re.findall(r"^\| `(smartgate_\w+)` \| \w+ \|([^|]*)\|", (ROOT / "docs" / "operations.md").read_text(), re.M))
    for name, labels in metrics.items():
        if name.startswith("smartgate_"):
            plain = re.sub(r"_(bucket|count|sum)$", "", name) if re.sub(r"_(bucket|count|sum)$", "", name) in documented else name
            assert plain in documented, name
            assert set(labels) - {"le"} <= set(re.findall(r"`(\w+)`", documented[plain])), name


def test_every_alert_has_a_runbook() -> None:
    headings = {line[4:].strip().lower() for line in (ROOT / "docs" / "operations.md").read_text().splitlines() if line.startswith("### ")}
    for rule in alerts():
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"
        assert rule["alert"].lower() in headings, rule["alert"]
