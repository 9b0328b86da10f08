"""The files around the sources, as far as they can be checked without the programs that read them."""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from dockerfile_parse import DockerfileParser

from sandbox import ROOT

MANIFEST: dict[str, Any] = tomllib.loads((ROOT / "Cargo.toml").read_text())


@pytest.fixture(scope="module")
def instructions(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    copy = tmp_path_factory.mktemp("docker") / "Dockerfile"
    copy.write_text((ROOT / "Dockerfile").read_text())
    return [(it["instruction"], it["value"]) for it in DockerfileParser(str(copy)).structure if it["instruction"] != "COMMENT"]


def values(instructions: list[tuple[str, str]], name: str) -> list[str]:
    return [value for instruction, value in instructions if instruction == name]


def in_context(path: str) -> bool:
    """Whether .dockerignore lets a top-level path into the build."""
    taken = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.strip()
        if pattern and not pattern.startswith("#"):
            negated = pattern.startswith("!")
            if fnmatch.fnmatch(path, pattern.lstrip("!")):
                taken = negated
    return taken


def test_the_image_builds_with_the_rust_of_the_manifest(instructions: list[tuple[str, str]]) -> None:
    bases = dict(value.split("=", 1) for value in values(instructions, "ARG") if "=" in value)
    assert values(instructions, "FROM") == ["${BUILD} AS build", "${RUNTIME}"]
    assert bases["BUILD"] == f"rust:{MANIFEST['package']['rust-version']}-bookworm"
    assert bases["RUNTIME"].endswith(":nonroot"), "no root, no shell"


def test_the_image_is_of_this_version(instructions: list[tuple[str, str]]) -> None:
    assert f'version="{MANIFEST["package"]["version"]}"' in values(instructions, "LABEL")[0]


def test_what_is_copied_is_there(instructions: list[tuple[str, str]]) -> None:
    for value in values(instructions, "COPY"):
        words = [word for word in value.split() if not word.startswith("--")]
        if "--from=" in value:
            continue
        for source in words[:-1]:
            assert (ROOT / source).exists(), source
            assert in_context(source), f"{source} is kept out by .dockerignore"


def test_everything_the_compiler_reads_is_copied(instructions: list[tuple[str, str]]) -> None:
    """What a depfile of cargo names inside the repository must be in the image, too."""
    copied = {word for value in values(instructions, "COPY") if "--from=" not in value for word in value.split()}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    read = {path.split("/")[0] for path in tracked if path.endswith((".rs", ".tsv", ".html", ".sql", ".css")) or path == "askama.toml"}
    assert read - {"tests", "benches", "tools", "fuzz"} <= copied, read


def test_the_builder_runs_what_the_makefile_runs(instructions: list[tuple[str, str]]) -> None:
    commands = {line.strip().replace("$$", "$") for line in (ROOT / "Makefile").read_text().splitlines()}
    builds = [value for value in values(instructions, "RUN") if "cargo" in value]
    assert builds and all(build in commands for build in builds)
    assert any("cmake" in value for value in values(instructions, "RUN")), "pingora's zlib needs it"


def test_the_binary_is_started_as_nobody_in_particular(instructions: list[tuple[str, str]]) -> None:
    user = values(instructions, "USER")[-1]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), "a number, so that Kubernetes can see that it is not root"
    assert json.loads(values(instructions, "ENTRYPOINT")[0]) == ["/smartgate"]
    assert json.loads(values(instructions, "CMD")[0]) == ["run"]
    built = f"target/*-linux-gnu/release/{MANIFEST['bin'][0]['name']} /smartgate"
    assert any(built in value for value in values(instructions, "RUN"))
    assert "--from=build /smartgate /smartgate" in values(instructions, "COPY")


def test_no_lock_file_names_a_registry_host() -> None:
    lock = json.loads((ROOT / "tests" / "e2e" / "package-lock.json").read_text())
    assert not any("resolved" in package for package in lock["packages"].values())


def test_every_requirement_is_pinned() -> None:
    for file in (ROOT / "tools" / "requirements.txt", ROOT / "tests" / "e2e" / "requirements.txt", ROOT / "tools" / "constraints.txt"):
        for line in file.read_text().splitlines():
            assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9_.-]+(\[[a-z0-9]+\])?==[\w.]+", line), line
    package = json.loads((ROOT / "tests" / "e2e" / "package.json").read_text())
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in package["dependencies"].values())


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "deploy" / "README.md", ROOT / "fuzz" / "README.md"]


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in re.findall(r"^#+ +(.*)$", text, re.M)}


@pytest.mark.parametrize("page", PAGES, ids=lambda it: str(it.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        other = page.parent / target if target else page
        assert other.exists(), f"{page.name} points at {target}"
        assert not anchor or anchor in anchors(other), f"{page.name} points at {target}#{anchor}"


def test_configuration_examples_in_the_readme_are_toml() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert blocks
    for block in blocks:
        tomllib.loads(block)
