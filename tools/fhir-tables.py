#!/usr/bin/env python3
"""Makes the compact tables under src/fhir/tables and docs/subject-elements.md from FHIR's own definitions.

usage: fhir-tables.py [--check | --extract DEFINITIONS]

The definitions are tools/fhir-definitions.tsv, so that no network is needed. --check compares and writes nothing. --extract makes
that file from DEFINITIONS, which has a folder for each version (R4, R4B, R5) with search-parameters.json and
compartmentdefinition-patient.json, as in HL7's definitions download.
"""

import pathlib
import sys

import fhir_definitions
from fhir_expressions import paths

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLES = ROOT / "src" / "fhir" / "tables"
ABSTRACT = {"Resource", "DomainResource"}
# Types that no compartment definition lists, and that are resources all the same.
UNLISTED = {"Parameters"}

SHARED = """ActivityDefinition CapabilityStatement ChargeItemDefinition CodeSystem CompartmentDefinition ConceptMap
DeviceDefinition Endpoint EventDefinition ExampleScenario GraphDefinition HealthcareService ImplementationGuide InsurancePlan
Library Location Measure Medication MedicationKnowledge MessageDefinition NamingSystem ObservationDefinition
OperationDefinition Organization OrganizationAffiliation PlanDefinition Practitioner PractitionerRole Questionnaire
ResearchStudy SearchParameter SpecimenDefinition StructureDefinition StructureMap Substance
TerminologyCapabilities ValueSet""".split()


def curated():
    rows = {}
    for line in (ROOT / "tools" / "subject-elements.tsv").read_text().splitlines():
        if line and not line.startswith("#"):
            name, elements, reason = line.split("\t")
            rows[name] = (elements, reason)
    return rows


class Version:
    def __init__(self, name, compartment, parameters):
        self.name = name
        self.compartment = compartment
        self.types = set(compartment) | UNLISTED
        self.parameters = {}
        for parameter in parameters:
            for base in parameter.bases:
                if base in self.types | ABSTRACT:
                    targets = self.types - UNLISTED if parameter.targets == ["*"] else set(parameter.targets) & self.types
                    self.parameters[(base, parameter.code)] = (parameter.kind, sorted(targets), paths(parameter.expression, base))

    def patient_paths(self, name):
        """Search parameters of a type that reach a Patient, with their paths."""
        return {
            code: found
            for (base, code), (kind, targets, found) in self.parameters.items()
            if base == name and kind == "reference" and "Patient" in targets
        }

    def narrow_by(self, name, elements):
        """The parameter that covers all of `elements`: `patient` if it does, then `subject`, then by name."""
        covering = [code for code, found in self.patient_paths(name).items() if set(elements) <= set(found)]
        return min(covering, key=lambda code: (code != "patient", code != "subject", code), default=None)

    def subject_rows(self, rows):
        for name, (elements, _) in sorted(rows.items()):
            if name not in self.types or elements == "-":
                continue
            if elements == "@id":
                yield name, [], "_id"
                continue
            known = {path for found in self.patient_paths(name).values() for path in found}
            chosen = [element for element in elements.split("+") if element in known]
            if "|" in elements:
                chosen = [element for element in elements.split("|") if element in known][:1]
            narrow = self.narrow_by(name, chosen)
            if not chosen:
                # The version has the type without the element: nobody's there.
                continue
            if narrow is None:
                sys.exit(f"{self.name} {name}: no search parameter covers {chosen}")
            yield name, chosen, narrow

    def compartment_rows(self):
        for name, codes in sorted(self.compartment.items()):
            if name == "Patient":
                yield name, [], "_id"
                continue
            elements = []
            for code in codes:
                for path in self.patient_paths(name).get(code, []):
                    if path not in elements:
                        elements.append(path)
            if elements:
                yield name, elements, self.narrow_by(name, elements) or ""

    def print(self, rows):
        lines = [f"# FHIR {self.name}; made by tools/fhir-tables.py, do not edit"]
        for (base, code), (kind, targets, found) in sorted(self.parameters.items()):
            everything = "*" if set(targets) >= self.types - UNLISTED else ",".join(targets)
            lines.append("\t".join(["parameter", base, code, kind, everything, ",".join(found)]))
        for name, elements, narrow in self.subject_rows(rows):
            lines.append("\t".join(["subject", name, ",".join(elements), narrow]))
        for name, elements, narrow in self.compartment_rows():
            lines.append("\t".join(["compartment", name, ",".join(elements), narrow]))
        lines.append("\t".join(["shared", ",".join(sorted(set(SHARED) & self.types))]))
        return "\n".join(lines) + "\n"


def names(versions):
    bits = {}
    for position, version in enumerate(versions):
        for name in version.types:
            bits[name] = bits.get(name, 0) | 1 << position
    lines = [
        "//! Every concrete resource type of R4, R4B and R5, sorted, with the versions that have it (1 R4, 2 R4B, 4 R5).",
        "//! Made by `tools/fhir-tables.py`; do not edit.",
        "",
        f"pub(crate) static NAMES: [(&str, u8); {len(bits)}] = [",
    ]
    lines += [f'    ("{name}", {bits[name]}),' for name in sorted(bits)]
    return "\n".join(lines + ["];"]) + "\n"


def document(versions, rows):
    lines = [
        "# Whose resource is it?",
        "",
        "In the default mode, `patient_data = \"subject\"`, a resource is a patient's when one of these elements refers to that",
        "patient. Types that are neither here nor shared are visible to no token in a patient context.",
        "Made by `tools/fhir-tables.py` from `tools/subject-elements.tsv` and FHIR's definitions; do not edit.",
        "",
        "| type | versions | elements | narrowed by | reason |",
        "|---|---|---|---|---|",
    ]
    found = {}
    for version in versions:
        for name, elements, narrow in version.subject_rows(rows):
            key = (", ".join(f"`{element}`" for element in elements) or "its own id", narrow)
            found.setdefault(name, {}).setdefault(key, []).append(version.name)
    for name, (elements, reason) in sorted(rows.items()):
        for (shown, narrow), present in found.get(name, {}).items():
            lines.append(f"| {name} | {' '.join(present)} | {shown} | `{narrow}` | {reason} |")
    lines += ["", "Not visible in a patient context:", "", "| type | reason |", "|---|---|"]
    lines += [f"| {name} | {reason} |" for name, (elements, reason) in sorted(rows.items()) if elements == "-"]
    return "\n".join(lines) + "\n"


def main():
    arguments = sys.argv[1:]
    if arguments[:1] == ["--extract"] and len(arguments) == 2:
        fhir_definitions.extract(pathlib.Path(arguments[1]))
        return
    if arguments not in ([], ["--check"]):
        sys.exit(__doc__)
    versions = [Version(name, *fhir_definitions.read(name)) for name in fhir_definitions.VERSIONS]
    rows = curated()
    made = {TABLES / f"{version.name.lower()}.tsv": version.print(rows) for version in versions}
    made[TABLES / "names.rs"] = names(versions)
    made[ROOT / "docs" / "subject-elements.md"] = document(versions, rows)
    different = [path for path, text in made.items() if not path.exists() or path.read_text() != text]
    if arguments:
        for path in different:
            print(f"{path.relative_to(ROOT)} is not what the definitions give")
        sys.exit(1 if different else 0)
    for path in different:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made[path])
        print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
