"""The transactions of a worker: two transactional ids in turn, one transaction at a time, all or nothing.

The same id twice in a row would have to wait until the markers of its last transaction are written; aiokafka
then sleeps 20 ms. Both ids are new with every process and after every transaction that failed.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.errors import KafkaError, ProducerFenced

from streams.engine.broker.coordinators import Coordinators, Partition
from streams.engine.broker.errors import Aborted, Fenced, OutcomeUnknown, Refused, Unanswered
from streams.engine.broker.producer import Batch, WorkerProducer
from streams.engine.ownership import Membership, Ownership
from streams.log import get_logger

log = get_logger("engine.transactions")

DEADLINE_S = 9.0
"""From begin to committed; shorter than the broker's own time-out for a transaction."""

ABORT_WITHIN_S = 10.0
START_AGAIN_S = 0.5
_NOT_STARTED = "none while brokers start or move; if it goes on, see `flashsale check` for brokers and rights"


@dataclass(frozen=True, slots=True)
class Transaction:
    """What goes out together: batches by partition in order, and the offsets of the sources that moved."""

    batches: Sequence[tuple[Partition, Batch]]
    offsets: Mapping[Partition, int]
    member: Membership


class Transactions:
    """The two producers of one worker. `client` are aiokafka's connection settings."""

    def __init__(
        self,
        client: Mapping[str, Any],
        coordinators: Coordinators,
        group: str,
        topics: Iterable[str],
        new_id: Callable[[], str] | None = None,
    ) -> None:
        self._client = client
        self._coordinators = coordinators
        self._group = group
        self._topics = list(topics)
        self._new_id = new_id or (lambda: f"{group}-{uuid.uuid4().hex[:12]}")
        self._producers: list[WorkerProducer] = []
        self._turn = 0
        self._leaving: set[asyncio.Task[None]] = set()

    @property
    def ids(self) -> tuple[str, ...]:
        """The transactional ids in use."""
        return tuple(producer.transactional_id for producer in self._producers)

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has."""
        return self._producers[0].partitions(topic)

    async def start(self) -> tuple[str, ...]:
        """Take two new ids, as soon as the cluster lets us; returns them."""
        self.abandon()
        stem = self._new_id()
        self._producers = list(await asyncio.gather(*(self._started(f"{stem}-{i}") for i in "ab")))
        return self.ids

    async def commit(self, transaction: Transaction) -> dict[Partition, int]:
        """Make everything visible at once; returns the offset after the last record of each partition.

        Raises Aborted or Refused (nothing of it will ever be visible), Fenced or OutcomeUnknown. After each
        of them the ids are used up: `start` takes new ones.
        """
        producer = self._producers[self._turn % len(self._producers)]
        self._turn += 1
        owner = Ownership(self.ids, transaction.member.generation)
        metadata = owner.beside(transaction.offsets, self._coordinators.topic_ids)
        ending = False
        try:
            async with asyncio.timeout(DEADLINE_S):
                ends = await producer.send(
                    transaction.batches, transaction.offsets, metadata, self._group, transaction.member
                )
                ending = True
                await producer.end()
                return ends
        except Exception as error:
            self.abandon()
            if ending:
                raise OutcomeUnknown(f"the commit was not confirmed: {error!r}") from error
            await self._abort(producer, error)
            raise _meaning(error) from error

    def abandon(self) -> None:
        """Let go of both producers at once; nothing of theirs is waited for."""
        producers, self._producers = self._producers, []
        for producer in producers:
            self._let_go(producer)

    def _let_go(self, producer: WorkerProducer) -> None:
        leaving = asyncio.get_running_loop().create_task(producer.abandon())
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def close(self) -> None:
        """Let go of both producers, with nothing open."""
        self.abandon()
        await asyncio.gather(*self._leaving)

    async def _abort(self, producer: WorkerProducer, cause: Exception) -> None:
        """Fencing our own id aborts what is open under it, whatever state the producer was left in."""
        try:
            await self._coordinators.fence(producer.transactional_id, ABORT_WITHIN_S)
        except (Unanswered, Fenced, KafkaError) as error:
            raise OutcomeUnknown(f"{cause!r}, and the abort was not confirmed: {error!r}") from error

    async def _started(self, transactional_id: str) -> WorkerProducer:
        while True:
            producer = WorkerProducer(self._client, transactional_id)
            try:
                await producer.start(self._topics)
                return producer
            except (KafkaError, OSError, TimeoutError) as error:
                self._let_go(producer)
                log.warning("producer_not_started", error=repr(error), recommendation=_NOT_STARTED)
                await asyncio.sleep(START_AGAIN_S)
            except asyncio.CancelledError:
                self._let_go(producer)
                raise


def _meaning(error: Exception) -> Exception:
    """What a failure of a transaction that was not committed means for its worker."""
    if isinstance(error, Refused | Fenced):
        return error
    if isinstance(error, ProducerFenced):
        return Fenced(repr(error))
    return Aborted(repr(error))
