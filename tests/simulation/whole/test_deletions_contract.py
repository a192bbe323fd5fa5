"""What becomes of records and topics that are deleted, asked of the stand-in and of a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from confluent_kafka import KafkaException

from streams.engine.broker.errors import Unanswered
from tests.simulation.whole.clusters import OUT, SOURCE, Cluster, Run
from tests.simulation.whole.contract import OWNER, WITHIN_S, offset_of, only_once, sent

UNKNOWN = r"\(3\)"


async def soon(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what a cluster takes a moment to know everywhere."""
    async with asyncio.timeout(WITHIN_S):
        while not await condition():
            await asyncio.sleep(0.05)


async def is_there(cluster: Cluster, topic: str) -> bool:
    """Whether the cluster knows the id of a topic."""
    with suppress(KafkaException):
        return bool(cluster.reader.topic_id(cluster.name(topic)))
    return False


async def is_away(cluster: Cluster, topic: str) -> bool:
    """Whether it does not."""
    return not await is_there(cluster, topic)


async def has_no_offset(cluster: Cluster) -> bool:
    """Whether the group has no offset of SOURCE, but for what a transaction is about to bring."""
    return await offset_of(cluster, stable=False) == (None, None)


def test_what_retention_deleted_is_gone_and_said_to_be(run: Run) -> None:
    async def test(cluster: Cluster) -> None:
        for number in range(4):
            await cluster.append(OUT, b"%d" % number, b"value")
        await cluster.delete_below(OUT, 3)
        ranges = cluster.reader.log_ranges([(cluster.name(OUT), 0)])
        assert ranges[cluster.name(OUT), 0] == (3, 4)
        assert (await cluster.rows(OUT))[0] == {b"3": b"value"}

    run(test)


def test_a_topic_that_is_created_again_has_another_id_empty_logs_and_no_offset_of_the_group(
    run: Run,
) -> None:
    async def test(cluster: Cluster) -> None:
        member, name = await cluster.join(), cluster.name(SOURCE)
        await cluster.append(SOURCE, b"key", b"value")
        await cluster.coordinators.commit({(name, 0): 1}, OWNER, member, WITHIN_S)
        former = cluster.reader.topic_id(name)
        await cluster.delete(SOURCE)
        await cluster.create_again(SOURCE)
        await soon(lambda: is_there(cluster, SOURCE))
        assert cluster.reader.topic_id(name) != former
        assert cluster.reader.log_ranges([(name, 0)]) == {(name, 0): (0, 0)}
        await soon(lambda: has_no_offset(cluster))

    run(test)


def test_a_transaction_brings_no_offset_of_a_topic_that_was_deleted_meanwhile(run: Run) -> None:
    async def test(cluster: Cluster) -> None:
        producer, member = await cluster.producer("a"), await cluster.join()
        await cluster.coordinators.commit({(cluster.name(SOURCE), 0): 3}, OWNER, member, WITHIN_S)
        await sent(cluster, producer, member, b"1", offset=7)
        await cluster.delete(SOURCE)
        await soon(lambda: has_no_offset(cluster))
        await cluster.create_again(SOURCE)
        await producer.end()
        assert await offset_of(cluster, stable=True) == (None, None)

    run(test)


def test_nobody_is_told_the_id_or_the_ends_of_a_topic_that_is_away(run: Run) -> None:
    async def test(cluster: Cluster) -> None:
        name = cluster.name(OUT)
        await cluster.append(OUT, b"key", b"value")
        assert (await cluster.ends.of([name]))[name, 0] == 1
        await cluster.delete(OUT)
        await soon(lambda: is_away(cluster, OUT))
        with pytest.raises(KafkaException):
            cluster.reader.log_ranges([(name, 0)])
        assert await cluster.ends.of([name]) == {(name, 0): None}

    run(test)


def test_an_offset_of_a_topic_that_is_away_is_not_taken_and_the_others_are(run: Run) -> None:
    async def test(cluster: Cluster) -> None:
        member, source, out = await cluster.join(), (cluster.name(SOURCE), 0), (cluster.name(OUT), 0)
        await cluster.delete(OUT)
        await soon(lambda: is_away(cluster, OUT))
        with only_once(), pytest.raises(Unanswered, match=UNKNOWN):
            await cluster.coordinators.commit({source: 3, out: 1}, OWNER, member, WITHIN_S)
        assert await offset_of(cluster, stable=True) == (3, OWNER)

    run(test)


def test_a_transaction_with_an_offset_of_a_topic_that_is_away_waits_for_the_topic(run: Run) -> None:
    async def test(cluster: Cluster) -> None:
        producer, member = await cluster.producer("a"), await cluster.join()
        await cluster.delete(SOURCE)
        await soon(lambda: is_away(cluster, SOURCE))
        sending = asyncio.ensure_future(sent(cluster, producer, member, b"1", offset=7))
        done, _ = await asyncio.wait([sending], timeout=1.0)
        assert not done
        await cluster.create_again(SOURCE)
        async with asyncio.timeout(WITHIN_S):
            await sending
        await producer.end()
        assert (await offset_of(cluster, stable=True))[0] == 7

    run(test)
