"""FHIR's own definitions, reduced to what the tables are made from: tools/fhir-definitions.tsv, read and made.

HL7 publishes the definitions under CC0 (https://hl7.org/fhir/license.html). A row that versions share is there once.
"""

import json
import pathlib
from collections import defaultdict
from typing import NamedTuple

FILE = pathlib.Path(__file__).resolve().parent / "fhir-definitions.tsv"
VERSIONS = ["R4", "R4B", "R5"]
HEAD = """# HL7's definitions of FHIR R4, R4B and R5 (CC0), reduced by `tools/fhir-tables.py --extract`; do not edit.
# compartment: versions, type, search parameters by which it is in the Patient compartment (none: the type is not in it)
# parameter: versions, code, type, bases, targets (`*`: every type), expression
"""


class Parameter(NamedTuple):
    code: str
    kind: str
    bases: list[str]
    targets: list[str]
    expression: str


def read(version):
    """The Patient compartment (type to parameters) and the search parameters of a version."""
    compartment, parameters = {}, []
    for line in FILE.read_text().splitlines():
        if line.startswith("#"):
            continue
        kind, versions, *fields = line.split("\t")
        if version not in versions.split(","):
            continue
        if kind == "compartment":
            name, codes = fields
            compartment[name] = listed(codes)
        else:
            code, kind, bases, targets, expression = fields
            parameters.append(Parameter(code, kind, listed(bases), listed(targets), expression))
    return compartment, parameters


def extract(folder):
    """Writes the file from HL7's download."""
    rows = defaultdict(list)
    for version in VERSIONS:
        definition = json.loads((folder / version / "compartmentdefinition-patient.json").read_text())
        types = {row["code"] for row in definition["resource"]}
        for row in definition["resource"]:
            rows["compartment", row["code"], ",".join(row.get("param", []))].append(version)
        search = json.loads((folder / version / "search-parameters.json").read_text())
        for resource in (entry["resource"] for entry in search["entry"]):
            targets = resource.get("target", [])
            shown = "*" if set(targets) >= types else ",".join(targets)
            expression = " ".join(resource.get("expression", "").split())
            rows["parameter", resource["code"], resource["type"], ",".join(resource["base"]), shown, expression].append(version)
    lines = ["\t".join([kind, ",".join(versions), *fields]) for (kind, *fields), versions in sorted(rows.items())]
    FILE.write_text(HEAD + "\n".join(lines) + "\n")


def listed(text):
    return text.split(",") if text else []
