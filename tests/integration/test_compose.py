"""docker-compose.yml without Docker: each service's own command and environment as a local process, one sale.

Not run here, for want of a Docker engine: the image build, `apache/kafka` itself, the health checks' timing.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rehearsal.kafka.config import free_port
from tests.support.audit import final_report, order, promotion_start
from tests.support.fluent import FluentSimulator
from tests.support.kafka import KafkaUnderTest
from tests.support.system import System, TimedOut, wait_until

ROOT = Path(__file__).parents[2]
SERVICES = ("topics", "fluent", "worker-1", "worker-2", "bridge")


DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""A container asks itself; no proxy that this machine's environment names stands in between."""

HEALTHY_WITHIN_S = 180.0
"""A deadline, not an expectation: on a machine that does much else, one start alone can take a minute."""


class Compose:
    """The services of docker-compose.yml, their host names and ports put on this machine."""

    def __init__(self, bootstrap: str, prefix: str, directory: Path) -> None:
        self.file: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
        self.directory = directory
        self.prefix = prefix
        self.ports = _local_ports("8080", "8081", "8001", "8002")
        self.hosts = {
            "kafka:19092": bootstrap,
            "http://fluent:8080": f"http://127.0.0.1:{self.ports['8080']}",
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.last_answer = "none"

    def start(self, service: str) -> subprocess.Popen[bytes]:
        """Start one service by its own command and environment."""
        described = self.file["services"][service]
        environment = {name: self.hosts.get(value, value) for name, value in described["environment"].items()}
        if "DATA_DIR" in environment:
            environment["DATA_DIR"] = str(self.directory / service)
        command = [self._local(word) for word in described["command"]]
        assert command[0] == "flashsale"
        with (self.directory / f"{service}.log").open("wb") as log:
            self.processes[service] = subprocess.Popen(
                [sys.executable, "-m", "flashsale.cli", *command[1:]],
                env={**os.environ, **environment, "TOPIC_PREFIX": self.prefix},
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        return self.processes[service]

    def _local(self, word: str) -> str:
        return "127.0.0.1" if word == "0.0.0.0" else self.ports.get(word, word)  # noqa: S104

    def healthy(self, service: str) -> bool:
        """What the service's own health check asks."""
        assert self.processes[service].poll() is None, self.log(service)
        probe: str = self.file["services"][service]["healthcheck"]["test"][-1]
        url = probe.partition("urlopen('")[2].partition("'")[0]
        for port, local in self.ports.items():
            url = url.replace(f":{port}/", f":{local}/")
        try:
            with DIRECT.open(url, timeout=2) as answer:
                self.last_answer = f"status {answer.status}"
                return bool(answer.status == 200)
        except OSError as error:
            self.last_answer = repr(error)
            return False

    def start_in_order(self) -> None:
        """Start each service once those that it depends on are healthy, or have ended, as compose does."""
        reached = {"kafka": "service_healthy"}
        for service in SERVICES:
            for need, each in self.file["services"][service].get("depends_on", {}).items():
                assert reached.get(need) == each["condition"], (service, need)
            reached[service] = self._start_whole(service)

    def _start_whole(self, service: str) -> str:
        """Start a service and wait for what its dependants wait for; returns that condition's name."""
        process = self.start(service)
        if "healthcheck" not in self.file["services"][service]:
            assert process.wait(HEALTHY_WITHIN_S) == 0, self.log(service)
            return "service_completed_successfully"
        try:
            wait_until(lambda: self.healthy(service), f"{service} is healthy", HEALTHY_WITHIN_S)
        except TimedOut as error:
            raise TimedOut(f"{error}; last answer: {self.last_answer}; log: {self.log(service)}") from None
        return "service_healthy"

    def log(self, service: str) -> str:
        """What a service has written so far."""
        return (self.directory / f"{service}.log").read_text()

    def stop(self) -> dict[str, int]:
        """SIGTERM to all that runs; exit statuses by service."""
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        return {service: process.wait(40) for service, process in self.processes.items()}


def _local_ports(*ports: str) -> dict[str, str]:
    """A free port of this machine for each, all different."""
    local: dict[str, int] = {}
    for port in ports:
        local[port] = free_port(besides=local.values())
    return {port: str(mine) for port, mine in local.items()}


@pytest.fixture
def compose(kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path) -> Iterator[Compose]:
    built = Compose(kafka.bootstrap, topic_prefix, tmp_path)
    try:
        yield built
    finally:
        for process in built.processes.values():
            process.kill()
        for process in built.processes.values():
            process.wait(10)


def test_every_service_of_the_compose_file_has_a_place_in_this_test() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert set(services) == {"kafka", *SERVICES}


def test_images_that_are_not_ours_are_named_by_digest() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    named = [each["image"] for each in services.values() if "build" not in each]
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    named += [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert len(named) == 3
    assert [image for image in named if not re.search("@sha256:[0-9a-f]{64}$", image)] == []


@pytest.mark.parametrize("name", SERVICES)
def test_our_services_run_without_rights_on_a_read_only_file_system(name: str) -> None:
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"][name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["tmpfs"] == ["/tmp"]  # noqa: S108 - a path in the container
    assert service["environment"].get("DATA_DIR", "/data") == "/data", "the volume of the image"


def test_the_services_start_by_their_own_commands_and_run_one_sale(compose: Compose) -> None:
    compose.start_in_order()
    bootstrap = compose.hosts["kafka:19092"]
    sale = System(bootstrap, compose.prefix, compose.directory, FluentSimulator({}))
    sale.publish("promotion-start", [promotion_start("FLASH-1", {"SKU-001": 100, "SKU-002": 5})])
    assert sale.wait_for("promotion-results", 1)[0].json["summary"] == {"success": 2, "errors": 0}
    sale.publish("order-placed", [order(f"O-{i}", "FLASH-1", ("SKU-001", 1)) for i in range(120)])
    outcomes = [message.json["outcome"] for message in sale.wait_for("order-outcomes", 120)]
    assert outcomes.count("ACCEPTED") == 100
    sale.publish("promotion-end", [{"promotion": {"id": "FLASH-1"}}])
    report = wait_until(lambda: final_report(sale, "FLASH-1"), "the FINAL report", 60)
    assert report["totals"]["consumed"] == 100 and report["totals"]["released"] == 5
    began = time.monotonic()
    statuses = compose.stop()
    assert set(statuses.values()) <= {0, -15} and time.monotonic() - began < 40
