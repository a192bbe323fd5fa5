"""A broker's properties and the ports that it listens on."""

from __future__ import annotations

import random
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rehearsal.kafka.errors import EmbeddedKafkaError
from rehearsal.kafka.storage import new_cluster_id

HOST = "127.0.0.1"

PORTS = range(15_000, 32_000)
"""Where free ports are looked for: below the systems' ephemeral range, or a client that keeps reconnecting to
a killed broker could be given that very port as its own and keep the broker from coming back."""

BROKER = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "num.partitions": "4",
    "auto.create.topics.enable": "false",
    # Of a single node every internal topic has one replica.
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


@dataclass(frozen=True, slots=True)
class Membership:
    """A broker's place among others. `controllers` are the ports of all nodes' controllers, by node id.

    A broker by itself needs no more than the defaults: its controller is on a new port at each start.
    """

    node_id: int = 1
    controllers: Mapping[int, int] = field(default_factory=dict)
    cluster_id: str = field(default_factory=new_cluster_id)


def server_properties(member: Membership, ports: Ports, data_dir: Path, overrides: Mapping[str, str]) -> str:
    """Return the text of server.properties; `overrides` win over everything else."""
    voters = member.controllers or {member.node_id: ports.controller}
    listeners = {"PLAINTEXT": ports.plaintext, "CONTROLLER": ports.controller}
    if ports.sasl is not None:
        listeners["SASL_SSL"] = ports.sasl
    urls = {name: f"{name}://{HOST}:{port}" for name, port in listeners.items()}
    properties = {
        **BROKER,
        "node.id": str(member.node_id),
        # A static quorum: with another kind the port of a controller could not change between two starts.
        "controller.quorum.voters": ",".join(f"{node}@{HOST}:{port}" for node, port in voters.items()),
        "listeners": ",".join(urls.values()),
        "advertised.listeners": ",".join(url for name, url in urls.items() if name != "CONTROLLER"),
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL",
        "log.dirs": str(data_dir),
        **overrides,
    }
    return "".join(f"{key}={value}\n" for key, value in properties.items())


def free_port(*, besides: Collection[int | None] = ()) -> int:
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
