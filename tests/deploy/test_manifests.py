"""deploy/kubernetes and deploy/systemd start what the image and docker-compose.yml start, in the same way.

Not run here, for want of a cluster: scheduling, volumes, the probes' timing.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from flashsale.cli.commands import Commands
from schemas.topics import TOPICS, Role
from streams.settings import ConfigurationError, ReservationConfig, load_settings
from streams.settings.environment import (
    BridgeEnvironment,
    FluentEnvironment,
    KafkaEnvironment,
    ProcessEnvironment,
)
from tests.test_tidy import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
SYSTEMD = ROOT / "deploy" / "systemd"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
RECIPE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
GROUPS = (KafkaEnvironment, FluentEnvironment, BridgeEnvironment, ProcessEnvironment)
VARIABLES = {name for group in GROUPS for name in group.variables()}
FILLED_IN = "CHANGE-ME"

UNITS = sorted(SYSTEMD.glob("*.service"))

Manifest = dict[str, Any]


def manifests() -> Iterator[Manifest]:
    for name in yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]:
        yield from yaml.safe_load_all((KUBERNETES / name).read_text(encoding="utf-8"))


OBJECTS = {(each["kind"], each["metadata"]["name"]): each for each in manifests()}
RUNNING: dict[str, Manifest] = {
    name: each for (kind, name), each in OBJECTS.items() if kind in ("StatefulSet", "Deployment", "Job")
}


def pod(name: str) -> Manifest:
    spec: Manifest = RUNNING[name]["spec"]["template"]["spec"]
    return spec


def container(name: str) -> Manifest:
    [only] = pod(name)["containers"]
    found: Manifest = only
    return found


def environment(name: str) -> dict[str, str]:
    """What a container is started with."""
    found: dict[str, str] = {}
    for source in container(name)["envFrom"]:
        if "configMapRef" in source:
            found |= OBJECTS["ConfigMap", source["configMapRef"]["name"]]["data"]
        else:
            found |= OBJECTS["Secret", source["secretRef"]["name"]]["stringData"]
    return found | {each["name"]: each["value"] for each in container(name)["env"]}


def understood(words: list[str]) -> dict[str, Any]:
    """The arguments of a command line, as our own command reads them; it fails for what it does not know."""
    assert Path(words[0]).name == "flashsale"
    command = Commands().get_command(None, words[1])
    found: dict[str, Any] = command.make_context(words[1], words[2:]).params
    return found


def test_every_file_is_part_of_the_base_and_nothing_is_there_twice() -> None:
    listed = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    assert {*listed, "kustomization.yaml"} == {path.name for path in KUBERNETES.iterdir()}
    assert len(list(manifests())) == len(OBJECTS)
    assert set(RUNNING) == {"flashsale-topics", "flashsale-worker", "flashsale-bridge"}


@pytest.mark.parametrize("name", RUNNING)
def test_the_image_and_its_rights_are_those_of_compose(name: str) -> None:
    described, spec = container(name), pod(name)
    assert described["image"] == COMPOSE["services"]["worker-1"]["image"]
    assert "command" not in described, "the image has no entry point, so args is the command line"
    uid = re.search(r"--uid (\d+)", RECIPE)
    assert uid is not None
    assert spec["securityContext"]["runAsUser"] == spec["securityContext"]["fsGroup"] == int(uid[1])
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    assert described["securityContext"] == {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    mounts = {each["mountPath"]: each["name"] for each in described["volumeMounts"]}
    volume = re.search(r"^VOLUME (\S+)$", RECIPE, re.MULTILINE)
    assert volume is not None and f"DATA_DIR={volume[1]}" in RECIPE
    assert {volume[1], *COMPOSE["services"]["worker-1"]["tmpfs"]} <= set(mounts)
    claims = [each["metadata"]["name"] for each in RUNNING[name]["spec"].get("volumeClaimTemplates", [])]
    assert set(mounts.values()) == {each["name"] for each in spec["volumes"]} | set(claims)
    assert described["resources"]["limits"]["memory"]


@pytest.mark.parametrize(
    ("name", "service"),
    [("flashsale-topics", "topics"), ("flashsale-worker", "worker-1"), ("flashsale-bridge", "bridge")],
)
def test_the_command_is_that_of_compose_and_our_commands_understand_it(name: str, service: str) -> None:
    words = container(name)["args"]
    arguments, in_compose = understood(words), understood(COMPOSE["services"][service]["command"])
    assert words[:2] == COMPOSE["services"][service]["command"][:2]
    for argument in ("port", "health_port", "host"):
        assert arguments.get(argument) == in_compose.get(argument)


def test_probes_and_metrics_ask_the_ports_that_the_commands_open() -> None:
    worker, bridge = (understood(container(f"flashsale-{name}")["args"]) for name in ("worker", "bridge"))
    opened = {
        "flashsale-worker": (worker["health_port"], worker["health_host"], "health"),
        "flashsale-bridge": (bridge["operations_port"], bridge["operations_host"], "operations"),
    }
    for name, (port, host, called) in opened.items():
        described = container(name)
        assert host == "0.0.0.0"  # noqa: S104 - the kubelet and Prometheus come from outside of the pod
        assert {"name": called, "containerPort": port} in described["ports"]
        for probe, path in (("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
            assert described[probe]["httpGet"] == {"path": path, "port": called}
        notes = RUNNING[name]["spec"]["template"]["metadata"]["annotations"]
        assert notes["prometheus.io/port"] == str(port) and notes["prometheus.io/path"] == "/metrics"
    allowed = OBJECTS["NetworkPolicy", "flashsale"]["spec"]["ingress"]
    assert [[each["port"] for each in rule["ports"]] for rule in allowed] == [
        [worker["health_port"], bridge["operations_port"]],
        [bridge["port"]],
    ]


@pytest.mark.parametrize("name", ["flashsale-worker", "flashsale-bridge"])
def test_a_stop_has_time_enough_and_only_one_pod_is_taken_away_at_once(name: str) -> None:
    seconds = int(COMPOSE["services"]["worker-1"]["stop_grace_period"].removesuffix("s"))
    assert pod(name)["terminationGracePeriodSeconds"] == seconds
    assert OBJECTS["PodDisruptionBudget", name]["spec"]["maxUnavailable"] == 1
    labels = RUNNING[name]["spec"]["template"]["metadata"]["labels"]
    for owner in (RUNNING[name], OBJECTS["PodDisruptionBudget", name]):
        assert owner["spec"]["selector"]["matchLabels"] == labels
    assert OBJECTS["Service", name]["spec"]["selector"] == labels


def test_the_configuration_and_the_environment_are_those_that_we_read(tmp_path: Path) -> None:
    data = OBJECTS["ConfigMap", "flashsale"]["data"]
    settings = json.loads(data["reservation-config.json"])
    assert (
        ReservationConfig.model_validate(settings).partitions
        >= RUNNING["flashsale-worker"]["spec"]["replicas"]
    )
    file = tmp_path / "reservation-config.json"
    file.write_text(data["reservation-config.json"])
    authority = tmp_path / "ca.crt"
    authority.write_text("")
    for name in RUNNING:
        given = environment(name)
        del given["reservation-config.json"]
        assert set(given) <= VARIABLES
        assert given["RESERVATION_CONFIG"].endswith(f"/{file.name}")
        mounts = [each["mountPath"] for each in container(name)["volumeMounts"]]
        assert str(Path(given["KAFKA_SSL_CA_LOCATION"]).parent) in mounts
        local = {"RESERVATION_CONFIG": str(file), "KAFKA_SSL_CA_LOCATION": str(authority)}
        filled_in = {name: value.replace(FILLED_IN, "of-our-own-0123456789") for name, value in given.items()}
        read = load_settings(filled_in | local)
        assert read.require_kafka() == given["KAFKA_BOOTSTRAP_SERVERS"]
        assert (name == "flashsale-bridge") == bool(read.bridge.secrets)
        if name == "flashsale-worker":
            assert read.require_fluent()


def test_no_secret_is_in_the_files() -> None:
    for (kind, _), each in OBJECTS.items():
        for name, value in each.get("stringData", {}).items() if kind == "Secret" else ():
            assert value.endswith(FILLED_IN) or name == "KAFKA_SASL_USERNAME", name
    assert not {
        name for name in OBJECTS["ConfigMap", "flashsale"]["data"] if re.search("SECRET|PASSWORD", name)
    }


def test_a_bridge_with_the_shipped_secret_does_not_start() -> None:
    with pytest.raises(ConfigurationError, match="still has CHANGE-ME for shop"):
        load_settings(OBJECTS["Secret", "flashsale-bridge"]["stringData"])


GUIDE = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")


def test_the_rights_in_the_guide_are_about_every_topic_of_its_kind() -> None:
    roles_of = {
        "INPUT": {Role.INPUT},
        "COMMANDS": {Role.COMMANDS, Role.STATE},
        "OUTPUT": {Role.OUTPUT},
    }
    for variable, roles in roles_of.items():
        given = re.search(rf'^{variable}="([^"]*)"$', GUIDE, re.MULTILINE)
        assert given is not None
        assert given[1].split() == [topic.name for topic in TOPICS if topic.role in roles], variable


def test_the_guide_names_every_file_of_the_folder() -> None:
    folders = {path.name for path in (ROOT / "deploy").iterdir()}
    assert [name for name in folders if f"`{name}/" not in GUIDE] == []
    assert [unit.name for unit in UNITS if unit.name not in GUIDE] == []


# -- systemd


def values(unit: Path, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", unit.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_starts_a_command_that_we_have_and_stops_it_as_compose_does(unit: Path) -> None:
    [line] = values(unit, "ExecStart")
    words = line.replace("%i", "8001").split()
    service = COMPOSE["services"]["bridge" if words[1] == "bridge" else "worker-1"]
    assert words[1] == service["command"][1]
    arguments, in_compose = understood(words), understood(service["command"])
    for argument in ("port", "health_port"):
        assert arguments.get(argument) == in_compose.get(argument)
    assert values(unit, "TimeoutStopSec") == [service.get("stop_grace_period", "30s").removesuffix("s")]
    assert (values(unit, "Restart"), values(unit, "RestartPreventExitStatus")) == (["always"], []), (
        "status 2 may be a broker that starts at the same time"
    )
    [state] = values(unit, "StateDirectory")
    given = dict(each.split("=", 1) for each in values(unit, "Environment"))
    assert given["DATA_DIR"] == f"/var/lib/{state}" and set(given) <= VARIABLES


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    program = tmp_path / "flashsale"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    copies = []
    for unit in UNITS:
        copies.append(tmp_path / unit.name.replace("@", "@8001"))
        text = re.sub(r"^ExecStart=\S+", f"ExecStart={program}", unit.read_text(), flags=re.MULTILINE)
        copies[-1].write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, copies)],  # noqa: S607
        capture_output=True,
        text=True,
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"},
    )
    about_ours = [line for line in done.stderr.splitlines() if "flashsale" in line]
    assert about_ours == []


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kustomize_builds_the_base() -> None:
    done = subprocess.run(["kubectl", "kustomize", str(KUBERNETES)], capture_output=True, text=True)  # noqa: S607
    assert done.returncode == 0, done.stderr
    built = [each["metadata"]["name"] for each in yaml.safe_load_all(done.stdout)]
    assert len(built) == len(OBJECTS)
