"""How a transaction ends without a broker: which failure means what, what is fenced, which ids are next."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from aiokafka.errors import KafkaConnectionError, KafkaError, ProducerFenced

from streams.engine.broker import transactions as module
from streams.engine.broker.coordinators import Partition
from streams.engine.broker.errors import Aborted, Fenced, OutcomeUnknown, Refused, Unanswered
from streams.engine.broker.transactions import Transaction, Transactions
from streams.engine.ownership import Membership, Ownership

MEMBER = Membership(4, "we")
PLACE: Partition = ("orders", 3)
ENDS = {PLACE: 9}


@dataclass
class Cluster:
    """What happened, in order; what fails next by the name of the step."""

    done: list[tuple[Any, ...]] = field(default_factory=list)
    fails: dict[str, list[BaseException]] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    topic_ids: Mapping[Partition, str] = field(default_factory=lambda: {PLACE: "id"})

    async def does(self, step: str, *about: Any) -> None:
        self.done.append((step, *about))
        if self.fails.get(step):
            raise self.fails[step].pop(0)
        if step in self.silent:
            await asyncio.sleep(60)

    async def fence(self, transactional_id: str, within_s: float) -> None:
        await self.does("fence", transactional_id)


class Producer:
    """In place of WorkerProducer."""

    def __init__(self, cluster: Cluster, transactional_id: str) -> None:
        self.transactional_id = transactional_id
        self._cluster = cluster

    async def start(self, topics: Iterable[str]) -> None:
        await self._cluster.does("start", self.transactional_id, *topics)

    def partitions(self, topic: str) -> int:
        return 5

    async def send(self, batches: Any, offsets: Any, metadata: Any, group: str, member: Any) -> Any:
        await self._cluster.does("send", self.transactional_id, metadata, group, member)
        return ENDS

    async def end(self) -> None:
        await self._cluster.does("end", self.transactional_id)

    async def abandon(self) -> None:
        await self._cluster.does("abandon", self.transactional_id)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
async def worker(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Transactions:
    """One that has started, under the ids 1-a and 1-b."""
    numbers = iter("123")
    monkeypatch.setattr(
        module, "WorkerProducer", lambda _, transactional_id: Producer(cluster, transactional_id)
    )
    coordinators: Any = cluster
    made = Transactions({}, coordinators, "flashsale", ["out"], lambda: next(numbers))
    assert await made.start() == made.ids == ("1-a", "1-b")
    assert cluster.done == [("start", "1-a", "out"), ("start", "1-b", "out")]
    cluster.done.clear()
    return made


TRANSACTION = Transaction([], {PLACE: 7}, MEMBER)


def steps(cluster: Cluster) -> list[tuple[Any, ...]]:
    """By step and transactional id."""
    return [each[:2] for each in cluster.done]


async def test_the_two_ids_take_turns_and_each_says_who_owns_the_offsets(
    cluster: Cluster, worker: Transactions
) -> None:
    for _ in range(3):
        assert await worker.commit(TRANSACTION) == ENDS
    assert steps(cluster) == [(step, name) for name in ("1-a", "1-b", "1-a") for step in ("send", "end")]
    beside = Ownership(("1-a", "1-b"), 4).beside([PLACE], {PLACE: "id"})
    assert cluster.done[0] == ("send", "1-a", beside, "flashsale", MEMBER)
    assert worker.partitions("out") == 5


@pytest.mark.parametrize(
    ("error", "means"),
    [
        (Refused("moved on"), Refused),
        (Fenced("another"), Fenced),
        (ProducerFenced(), Fenced),
        (KafkaError("too large"), Aborted),
        (KafkaConnectionError("broken"), Aborted),
        (TimeoutError(), Aborted),
    ],
)
async def test_what_was_not_told_to_end_is_aborted_by_fencing_our_own_id(
    cluster: Cluster, worker: Transactions, error: Exception, means: type[Exception]
) -> None:
    cluster.fails["send"] = [error]
    with pytest.raises(means):
        await worker.commit(TRANSACTION)
    assert worker.ids == ()
    await worker.close()
    assert sorted(steps(cluster)) == [
        ("abandon", "1-a"),
        ("abandon", "1-b"),
        ("fence", "1-a"),
        ("send", "1-a"),
    ]
    assert await worker.start() == ("2-a", "2-b")


@pytest.mark.parametrize("error", [KafkaError("away"), Refused("moved on"), ProducerFenced(), TimeoutError()])
async def test_of_what_was_told_to_end_only_the_broker_knows_the_outcome(
    cluster: Cluster, worker: Transactions, error: Exception
) -> None:
    """So it is not fenced here either: that would abort what may be committed, and say nothing."""
    cluster.fails["end"] = [error]
    with pytest.raises(OutcomeUnknown, match="was not confirmed"):
        await worker.commit(TRANSACTION)
    assert worker.ids == ()
    await worker.close()
    assert sorted(steps(cluster)) == [("abandon", "1-a"), ("abandon", "1-b"), ("end", "1-a"), ("send", "1-a")]


@pytest.mark.parametrize("error", [Unanswered("away"), Fenced("another"), KafkaError("not allowed")])
async def test_an_abort_that_nobody_confirms_is_an_outcome_that_nobody_knows(
    cluster: Cluster, worker: Transactions, error: Exception
) -> None:
    cluster.fails = {"send": [KafkaError("too large")], "fence": [error]}
    with pytest.raises(OutcomeUnknown, match="the abort was not confirmed"):
        await worker.commit(TRANSACTION)


async def test_a_transaction_that_takes_too_long_is_aborted(
    cluster: Cluster, worker: Transactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DEADLINE_S", 0.01)
    cluster.silent = {"send"}
    async with asyncio.timeout(10):
        with pytest.raises(Aborted, match="TimeoutError"):
            await worker.commit(TRANSACTION)


async def test_ids_that_are_taken_anew_let_go_of_those_before(cluster: Cluster, worker: Transactions) -> None:
    assert await worker.start() == ("2-a", "2-b")
    await worker.close()
    assert sorted(steps(cluster)) == [
        *[("abandon", each) for each in ("1-a", "1-b", "2-a", "2-b")],
        *[("start", each) for each in ("2-a", "2-b")],
    ]


@pytest.mark.parametrize("error", [KafkaConnectionError("away"), OSError("reset"), TimeoutError()])
async def test_a_producer_that_does_not_start_is_let_go_of_and_another_is_tried(
    cluster: Cluster, worker: Transactions, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(module, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": sleep}))
    cluster.fails["start"] = [error]
    with structlog.testing.capture_logs() as logs:
        await worker.start()
    await asyncio.gather(*worker._leaving)
    assert [each["event"] for each in logs] == ["producer_not_started"] and pauses == [0.5]
    assert steps(cluster).count(("start", "2-a")) == 2 and ("abandon", "2-a") in steps(cluster)


async def test_a_producer_that_nobody_waits_for_any_more_is_let_go_of(
    cluster: Cluster, worker: Transactions
) -> None:
    cluster.silent = {"start"}
    starting = asyncio.create_task(worker.start())
    async with asyncio.timeout(10):
        while ("start", "2-b") not in steps(cluster):
            await asyncio.sleep(0)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        while worker._leaving:
            await asyncio.sleep(0)
    assert {("abandon", "2-a"), ("abandon", "2-b")} <= set(steps(cluster))
