"""The broker's configuration and the Java options that it runs with."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rehearsal.kafka.errors import EmbeddedKafkaError

HOST = "127.0.0.1"

PORTS = range(15_000, 32_000)
"""Where free ports are looked for: below the systems' ephemeral range, or a client that keeps reconnecting to
a killed broker could be given that very port as its own and keep the broker from coming back."""

BROKER = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "num.partitions": "4",
    "auto.create.topics.enable": "false",
    # One node: every internal topic has one replica.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    # Fast where a cluster would be patient: group joins, failover, coming back after a kill.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
    "log.cleaner.backoff.ms": "1000",
    # Small: the default cleaner buffer alone is 128 MiB.
    "log.cleaner.dedupe.buffer.size": "16777216",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
}


@dataclass(frozen=True, slots=True)
class Ports:
    """The TCP ports of one start; `sasl` is None without the SASL_SSL listener."""

    plaintext: int
    controller: int
    sasl: int | None = None


def server_properties(ports: Ports, data_dir: Path, overrides: Mapping[str, str]) -> str:
    """Return the text of server.properties; `overrides` win over everything else."""
    listeners = {"PLAINTEXT": ports.plaintext, "CONTROLLER": ports.controller}
    if ports.sasl is not None:
        listeners["SASL_SSL"] = ports.sasl
    urls = {name: f"{name}://{HOST}:{port}" for name, port in listeners.items()}
    properties = {
        **BROKER,
        # Static voters let the controller's port change from one start to the next.
        "controller.quorum.voters": f"1@{HOST}:{ports.controller}",
        "listeners": ",".join(urls.values()),
        "advertised.listeners": ",".join(url for name, url in urls.items() if name != "CONTROLLER"),
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL",
        "log.dirs": str(data_dir),
        **overrides,
    }
    return "".join(f"{key}={value}\n" for key, value in properties.items())


BRIEF = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""For a broker that lives for a test: quick to start and small, slower under load."""

BUSY = (
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-XX:ThreadPriorityPolicy=1",
    "-XX:CompilerThreadPriority=15",
)
"""For a broker under load: the collector as Kafka's own start script sets it (KAFKA_JVM_PERFORMANCE_OPTS in
bin/kafka-run-class.sh), and compilers at nice 15. Where broker and clients share two cores, a compiler takes
one of them for tenths of a second, again and again in the first minutes: all else queues for the other."""


def java_command(
    java: Path, jars: Sequence[Path], work_dir: Path, heap: str, *, full_jit: bool = False
) -> list[str]:
    """Return the command line up to the class name; `full_jit` is for benchmarks, see the two lists above."""
    log4j = Path(__file__).with_name("log4j2.properties")
    return [
        str(java),
        f"-Xms{heap}",
        f"-Xmx{heap}",
        *(BUSY if full_jit else BRIEF),
        "-XX:-UsePerfData",
        "-Xlog:disable",
        "-Xlog:all=error:stderr",
        "--enable-native-access=ALL-UNNAMED",
        "-Djava.awt.headless=true",
        f"-Djava.io.tmpdir={work_dir}",
        f"-Dlog4j2.configurationFile={log4j}",
        "-Dlog4j2.disableJmx=true",
        "-cp",
        os.pathsep.join(map(str, jars)),
    ]


def free_port(*, besides: Sequence[int | None] = ()) -> int:
    """Return a port of 127.0.0.1 that nobody listens on. Raises EmbeddedKafkaError when none is found."""
    for port in random.sample(PORTS, 200):
        if port not in besides and is_free(port):
            return port
    raise EmbeddedKafkaError(
        f"No free port was found on {HOST} between {PORTS.start} and {PORTS.stop - 1}.",
        "Stop what uses them, or name a port with --port.",
    )


def is_free(port: int) -> bool:
    """Tell whether the broker could listen on a port (connections in TIME_WAIT do not count)."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
