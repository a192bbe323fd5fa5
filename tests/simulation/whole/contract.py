"""What the tests of the contract ask of a cluster."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from streams.engine.ownership import Membership, Ownership
from tests.simulation.whole.clusters import OUT, SOURCE, Cluster

OWNER = Ownership(("one", "two"), 1)

WITHIN_S = 20.0
"""A real broker on a busy machine takes its time to answer."""


async def sent(
    cluster: Cluster,
    producer: Any,
    member: Membership,
    value: bytes,
    offset: int = 1,
    topic: str = OUT,
) -> int:
    """A record and an offset, acknowledged in a transaction that is open."""
    batch = cluster.batch()
    batch.add(1, b"key", value, [])
    source, out = (cluster.name(SOURCE), 0), (cluster.name(topic), 0)
    metadata = OWNER.beside([source], {})
    group = cluster.coordinators._group
    ends: dict[Any, int] = await producer.send([(out, batch)], {source: offset}, metadata, group, member)
    return ends[out]


async def offset_of(cluster: Cluster, *, stable: bool) -> tuple[int | None, Ownership | None]:
    source = (cluster.name(SOURCE), 0)
    found = await cluster.coordinators.offsets([source], stable=stable, within_s=WITHIN_S)
    return found[source].offset, found[source].owner


def only_once() -> Any:
    """An answer that would pass by itself is final, so that no broker has to be quick about the last one."""
    return patch("streams.engine.broker.coordinators.AGAIN_S", 2 * WITHIN_S)
