"""What editors are told of the configuration (`conf/smartgate.schema.json`) is what the gate takes."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from sandbox import ROOT

SCHEMA = json.loads((ROOT / "conf" / "smartgate.schema.json").read_text())
SAMPLES = [*(ROOT / "conf").rglob("*.toml"), *(ROOT / "deploy").rglob("*.toml")]
# An entry stands at the top of its file.
DROP_INS = {"clients.d": "clients", "users.d": "users", "providers": "issuers"}


def main_file(sample: Path) -> dict[str, Any]:
    read = tomllib.loads(sample.read_text())
    section = DROP_INS.get(sample.parent.name)
    return {section: [read]} if section and section not in read else read


def validator() -> jsonschema.Draft7Validator:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    return jsonschema.Draft7Validator(SCHEMA)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: str(sample.relative_to(ROOT)))
def test_samples_fit_the_schema(sample: Path) -> None:
    validator().validate(main_file(sample))


@pytest.mark.parametrize("wrong", [
    {"servre": {}}, {"fhir": {"upstrem": "http://127.0.0.1:8090/fhir"}}, {"tokens": {"access_lifetime": 600}},
    {"tokens": {"access_lifetime": "10 minutes"}}, {"fhir": {"upstream": "http://127.0.0.1:8090/fhir", "narrowing": "all"}},
    {"limits": {"count": 0}}, {"clients": [{"id": "an-app"}]}, {"audit": {"fhir": {}}},
])
def test_mistakes_do_not(wrong: dict[str, Any]) -> None:
    assert not validator().is_valid(wrong)
