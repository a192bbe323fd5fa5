"""`KafkaCluster`: three embedded brokers, of which any one may be killed and started again."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from rehearsal.kafka.broker import START_TIMEOUT_S, EmbeddedKafka
from rehearsal.kafka.config import Membership, free_port
from rehearsal.kafka.errors import EmbeddedKafkaError
from rehearsal.kafka.storage import new_cluster_id

NODES = (1, 2, 3)

HEAP = "128m"
"""Of each of the three: together they take less memory than a broker in production."""

REPLICATED = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
}


class KafkaCluster:
    """Three brokers on 127.0.0.1 that are controllers, too; use as a context manager.

    Topics have three replicas of which two must be in sync, Kafka's internal ones included: everything goes
    on while one broker is away. Each of `nodes` is an `EmbeddedKafka`: `kill` it, and `start` it again.
    """

    def __init__(self, *, heap: str = HEAP, overrides: Mapping[str, str] | None = None) -> None:
        """Describe a cluster; nothing runs yet. `overrides` are broker properties that win."""
        self.dir = Path(tempfile.mkdtemp(prefix="embedded-kafka-cluster-"))
        properties = {**REPLICATED, **(overrides or {})}
        ports: list[int] = []
        for _ in range(2 * len(NODES)):
            ports.append(free_port(besides=ports))
        controllers = dict(zip(NODES, ports, strict=False))
        cluster_id = new_cluster_id()
        self.nodes = tuple(
            EmbeddedKafka(
                self.dir / f"node-{node}",
                ports[len(NODES) + place],
                heap=heap,
                overrides=properties,
                membership=Membership(node, controllers, cluster_id),
            )
            for place, node in enumerate(NODES)
        )

    @property
    def bootstrap(self) -> str:
        """The addresses of all three, as KAFKA_BOOTSTRAP_SERVERS takes them."""
        return ",".join(node.bootstrap for node in self.nodes)

    def start(self, timeout_s: float = START_TIMEOUT_S) -> Self:
        """Start all three and return when each serves. Raises EmbeddedKafkaError when one does not."""
        try:
            for node in self.nodes:
                node.launch()
            deadline = time.monotonic() + timeout_s
            for node in self.nodes:
                if not node.wait(deadline):
                    raise EmbeddedKafkaError(
                        "Another process took the port of a starting broker.",
                        "Start the cluster again.",
                    )
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Kill all three and remove their data."""
        for node in self.nodes:
            node.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()
