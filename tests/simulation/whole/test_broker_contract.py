"""What the engine relies on of a broker, asked of the stand-in and of a real one in the same words."""

from __future__ import annotations

from typing import Any

import pytest

from streams.engine.broker.errors import Refused, Unanswered
from streams.engine.changelog import RestoreTimeout
from streams.engine.ownership import Membership
from tests.simulation.whole.clusters import OUT, SOURCE, TABLE, Cluster, Run, stand_in_cluster
from tests.simulation.whole.contract import OWNER, WITHIN_S, offset_of, only_once, sent

NOT_ANY_MORE = r"(?i)fenced|initialised|epoch"
UNSTABLE = r"\(88\)"


def test_records_and_offsets_of_a_committed_transaction_are_there_together(run: Run) -> None:
    async def test(cluster: Cluster) -> None:
        producer, member = await cluster.producer("a"), await cluster.join()
        assert await sent(cluster, producer, member, b"1", offset=7) == 1
        await producer.end()
        assert await offset_of(cluster, stable=True) == (7, OWNER)
        assert (await cluster.rows(OUT))[0] == {b"key": b"1"}

    run(test)


def test_a_marker_takes_an_offset_and_the_log_end_counts_it(run: Run) -> None:
    async def test(cluster: Cluster) -> None:
        producer, member, out = await cluster.producer("a"), await cluster.join(), cluster.name(OUT)
        await sent(cluster, producer, member, b"1")
        assert (await cluster.ends.of([out]))[out, 0] == 1
        await producer.end()
        await cluster.rows(OUT)
        assert (await cluster.ends.of([out]))[out, 0] == 2
        assert (await cluster.rows(OUT))[1] == 2

    run(test)


def test_an_open_transaction_holds_up_what_comes_after_it(run: Run) -> None:
    async def test(cluster: Cluster) -> None:
        producer, member = await cluster.producer("a"), await cluster.join()
        await sent(cluster, producer, member, b"1")
        await cluster.append(OUT, b"other", b"2")
        with pytest.raises(RestoreTimeout):
            await cluster.rows(OUT)
        await producer.end()
        assert (await cluster.rows(OUT))[0] == {b"key": b"1", b"other": b"2"}

    run(test)


def test_who_is_fenced_has_sent_nothing_and_can_commit_nothing(run: Run) -> None:
    async def test(cluster: Cluster) -> None:
        producer, member = await cluster.producer("a"), await cluster.join()
        await sent(cluster, producer, member, b"1", offset=7)
        await cluster.append(OUT, b"other", b"2")
        await cluster.coordinators.fence(producer.transactional_id, WITHIN_S)
        with pytest.raises(Exception, match=NOT_ANY_MORE):
            await producer.end()
        assert (await cluster.rows(OUT))[0] == {b"other": b"2"}
        assert await offset_of(cluster, stable=True) == (None, None)

    run(test)


def test_offsets_of_an_open_transaction_are_unstable(run: Run) -> None:
    async def test(cluster: Cluster) -> None:
        producer, member = await cluster.producer("a"), await cluster.join()
        await sent(cluster, producer, member, b"1", offset=7)
        assert await offset_of(cluster, stable=False) == (None, None)
        with only_once(), pytest.raises(Unanswered, match=UNSTABLE):
            await offset_of(cluster, stable=True)
        await producer.end()
        assert (await offset_of(cluster, stable=True))[0] == 7

    run(test)


def test_a_former_generation_commits_nothing(run: Run) -> None:
    async def test(cluster: Cluster) -> None:
        producer, member = await cluster.producer("a"), await cluster.join()
        assert (await cluster.join()).generation > member.generation
        with pytest.raises(Refused):
            await sent(cluster, producer, member, b"1")
        with pytest.raises(Refused):
            await cluster.coordinators.commit({(cluster.name(SOURCE), 0): 1}, OWNER, member, WITHIN_S)
        with pytest.raises(Refused):
            await cluster.coordinators.check(member, WITHIN_S)

    run(test)


def test_the_current_generation_writes_offsets_with_their_owner(run: Run) -> None:
    async def test(cluster: Cluster) -> None:
        member = await cluster.join()
        await cluster.coordinators.check(member, WITHIN_S)
        await cluster.coordinators.commit({(cluster.name(SOURCE), 0): 3}, OWNER, member, WITHIN_S)
        assert await offset_of(cluster, stable=True) == (3, OWNER)

    run(test)


def test_somebody_who_never_joined_commits_nothing(run: Run) -> None:
    async def test(cluster: Cluster) -> None:
        member = await cluster.join()
        stranger = Membership(member.generation, "stranger")
        with pytest.raises(Refused):
            await cluster.coordinators.commit({(cluster.name(SOURCE), 0): 1}, OWNER, stranger, 5.0)

    run(test)


def test_one_transaction_follows_another_under_the_same_id(run: Run) -> None:
    async def test(cluster: Cluster) -> None:
        producer, member = await cluster.producer("a"), await cluster.join()
        for value in (b"1", b"2", b"3"):
            await sent(cluster, producer, member, value)
            await producer.end()
        assert (await cluster.rows(OUT))[0] == {b"key": b"3"}
        assert (await cluster.rows(OUT, 2))[0] == {b"key": b"3"}

    run(test)


def test_an_id_that_is_initialised_again_fences_the_former_producer(run: Run) -> None:
    async def test(cluster: Cluster) -> None:
        former, member = await cluster.producer("a"), await cluster.join()
        await cluster.producer("a")
        with pytest.raises(Exception, match=NOT_ANY_MORE) as raised:
            await sent(cluster, former, member, b"1")
            await former.end()
        assert not isinstance(raised.value, Refused)
        assert (await cluster.rows(OUT))[0] == {}

    run(test)


def test_compaction_takes_nothing_away_that_a_reader_would_fold(run: Run) -> None:
    async def test(cluster: Cluster) -> None:
        producer, member = await cluster.producer("a"), await cluster.join()
        for value in (b"1", b"2"):
            await sent(cluster, producer, member, value, topic=TABLE)
            await producer.end()
        aborted = await cluster.producer("b")
        await sent(cluster, aborted, member, b"3", topic=TABLE)
        await cluster.coordinators.fence(aborted.transactional_id, WITHIN_S)
        await cluster.append(TABLE, b"other", b"4")
        await cluster.compact(b"key")
        assert (await cluster.rows(TABLE))[0] == {b"key": b"2", b"other": b"4"}

    run(test)


def test_what_an_open_transaction_may_still_change_is_not_compacted() -> None:
    """Of the stand-in only: nobody can tell how long a real broker would wait."""
    with stand_in_cluster() as run:

        async def test(cluster: Any) -> None:
            producer, member = await cluster.producer("a"), await cluster.join()
            await cluster.append(TABLE, b"key", b"1")
            await sent(cluster, producer, member, b"2", topic=TABLE)
            await cluster.compact(b"key")
            await cluster.coordinators.fence(producer.transactional_id, WITHIN_S)
            assert (await cluster.rows(TABLE))[0] == {b"key": b"1"}

        run(test)
