"""Faust's consumer, made to hand over whole fetches and to take its positions from the engine only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import aiokafka
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage
from mode.utils.times import Seconds

from streams.engine.fetched import Fetched
from streams.engine.host import batches
from streams.engine.host.fetching import FETCH_WAIT_MS, drain, is_heavy
from streams.engine.ownership import Membership
from streams.log import get_logger

if TYPE_CHECKING:
    from streams.engine.host.app import EngineApp

log = get_logger("engine.consumer")

ASKED_AGAIN = "none: requests to Fluent are asked again; when it repeats, look at the brokers"

COMMITTED_WITHIN_S = 10.0
TOLD_EVERY_S = 5.0
"""What stands beside an offset is written again so often, also where the offset has not moved."""

MAX_QUEUED = 8
"""Fetches that may wait in front of agents before fetching pauses."""


class Ends(NamedTuple):
    """What a fetch said of a log; None before the first."""

    written: int | None
    readable: int | None
    """Up to there: an open transaction may hold the rest."""


class RebalanceListener(driver.ConsumerRebalanceListener):
    """Notes what this worker is in the group at the moment in which its partitions are granted.

    Later the coordinator may have thrown it out: then the consumer's generation is -1 and its member id is
    empty, and the broker would take a commit that says so unchecked.
    """

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Runs in the consumer's thread, between the answer of the coordinator and the next heartbeat."""
        thread = cast(ConsumerThread, self._thread)
        coordinator = thread._ensure_consumer()._coordinator
        thread.member = Membership(coordinator.generation, coordinator.member_id)
        await super().on_partitions_assigned(assigned)


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that talks to the broker."""

    member = Membership(-1, "")
    may_be_queued = MAX_QUEUED

    async def on_start(self) -> None:
        """Start, and let the lease hear what the group's coordinator answers."""
        await super().on_start()
        cast("EngineApp", self.app).hooks.lease.watch(self._ensure_consumer()._coordinator)

    def _create_worker_consumer(self, transport: driver.Transport) -> aiokafka.AIOKafkaConsumer:
        """drivers/aiokafka.py:571 ties read_committed to exactly_once; our own stages must never read
        commands of an aborted transaction: the redo may decide otherwise."""
        batches.install()
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer

    async def _commit(self, offsets: Mapping[TP, OffsetAndMetadata]) -> bool:
        """drivers/aiokafka.py:811 crashes the app on any error of a commit. Group offsets are for
        monitoring and for requests that can be asked again: a failed commit costs nothing. aiokafka would
        wait for a coordinator that is away for as long as it is, and a stop would wait for that."""
        try:
            async with asyncio.timeout(COMMITTED_WITHIN_S):
                await self._ensure_consumer().commit(
                    {driver.ensure_aiokafka_TP(tp): offset for tp, offset in offsets.items()}
                )
        except (TimeoutError, KafkaError) as error:
            # Without a lease the broker is silent, which is told already, or the group rebalances.
            if cast("EngineApp", self.app).hooks.lease.left_s > 0:
                log.warning("offsets_not_committed", error=repr(error), recommendation=ASKED_AGAIN)
            return False
        return True

    async def _fetch_records(
        self,
        consumer: aiokafka.AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> dict[TP, list[Fetched]]:
        """Fetches with their exact ranges: the offsets between two fetches' records may be markers or
        aborted records, and only aiokafka's positions tell that apart from a loss."""
        if not self.consumer.flow_active:
            return {}
        found = await drain(consumer, active_partitions, timeout or 0.0, max_records or 4_000)
        self.may_be_queued = 0 if is_heavy(found) else MAX_QUEUED
        return found

    async def reposition(self, offsets: Mapping[TopicPartition, int | None]) -> None:
        """Continue at these offsets (None: at the beginning). Partitions that are not ours are ignored."""
        await self.call_thread(self._reposition, offsets)

    async def _reposition(self, offsets: Mapping[TopicPartition, int | None]) -> None:
        consumer = self._ensure_consumer()
        for tp, offset in offsets.items():
            if tp not in consumer.assignment():
                continue
            if offset is None:
                await consumer.seek_to_beginning(tp)
            else:
                consumer.seek(tp, offset)

    async def group_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int | None]:
        """The group's committed offsets; None where there is none."""
        found: dict[TopicPartition, int | None] = await self.call_thread(self._group_offsets, tps)
        return found

    async def _group_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int | None]:
        consumer = self._ensure_consumer()
        return {tp: await consumer.committed(tp) for tp in tps}


class Unchecked(dict[TP, int | None]):
    """Stands in for Faust's read offsets (transport/consumer.py:1228 drops what lies below them): what
    was sought back for must come through. Continuity is the engine's business."""

    def __getitem__(self, key: TP) -> None:
        return None

    def __setitem__(self, key: TP, value: int | None) -> None:
        return


class Consumer(driver.Consumer):
    """The consumer in the event loop."""

    RebalanceListener = RebalanceListener
    _thread: ConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_offset = Unchecked()
        self._sought: dict[TP, int] = {}
        """The group's offsets of what no task decides, as they were when this worker began to read it."""
        self._told_at = 0.0

    @property
    def _host(self) -> EngineApp:
        return cast("EngineApp", self.app)

    @property
    def member(self) -> Membership:
        """What this worker was in the group when its partitions were granted."""
        return self._thread.member

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        """Back-pressure before the fetch: transport/consumer.py takes a full queue's partition out of the
        active set, and with none left it sleeps a whole second."""
        while self._is_full() and self.flow_active and not self.should_stop:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        return await super()._getmany(active_partitions, timeout)

    def _is_full(self) -> bool:
        return sum(channel.queue.qsize() for channel in self.app.topics) > self._thread.may_be_queued

    async def sleep(self, n: Seconds) -> None:
        """transport/consumer.py:808 sleeps 1 s when nothing is active: a second lost at every rebalance."""
        await super().sleep(0.02 if n == 1 else n)

    def _to_message(self, tp: TP, record: Fetched) -> ConsumerMessage:
        """One event is one fetch."""
        return ConsumerMessage(
            record.topic,
            record.partition,
            record.following - 1,
            0.0,
            0,
            None,
            None,
            cast(bytes, record),  # the raw codec hands it on as it is
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Gaps are part of a fetch's range here; the interval tree is not used."""

    def ack(self, message: Any) -> bool:
        """An ack means nothing: what is durable counts (`_new_offset`)."""
        if not message.acked:
            message.acked = True
            self._unacked_messages.discard(message)
        return False

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        if self._thread._consumer is not None:  # a start that failed stops a consumer that never ran
            yield from (tp for tp in self.assignment() if not self._is_changelog_tp(tp))

    def _new_offset(self, tp: TP) -> int | None:
        """What is durable: the requests answered so far, or where they began where none was."""
        durable = self._host.durable_offset(tp.topic, tp.partition)
        return self._sought.get(tp) if durable is None else durable

    def _filter_committable_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        """Offsets that moved; now and then all of them, for what stands beside them changes, too. Not
        without a lease: of a broker that is away nothing is wanted that can wait."""
        now = time.monotonic()
        if now - self._told_at < TOLD_EVERY_S or self._host.hooks.lease.left_s <= 0:
            found: dict[TP, int] = super()._filter_committable_offsets(tps)
            return found
        self._told_at = now
        return {tp: offset for tp in tps if (offset := self._new_offset(tp)) is not None}

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
        """transport/consumer.py:1080 marks offsets as committed even when the commit failed."""
        ours = {tp: offset for tp, offset in offsets.items() if tp in self.assignment()}
        beside = self._host.hooks.beside_request
        noted = {tp: OffsetAndMetadata(offset, beside(tp.partition)) for tp, offset in ours.items()}
        if not noted or not await self._thread.commit(noted):
            return False
        self._committed_offset.update(ours)
        return True

    async def wait_empty(self) -> None:
        """Rebalance or stop: commit what is decided, then the group's offsets (transport/consumer.py:948
        skips a commit while another one runs)."""
        await self._host.suspend_engine()
        self._sought = {}  # the group's offsets may be further on, and soon somebody else's
        await self.maybe_wait_for_commit_to_finish()
        await self.force_commit()

    async def perform_seek(self) -> None:
        """Positions of running tasks from the engine, of requests from the group; those of tasks that are
        being taken over follow when they are known. aiokafka does not rewind partitions without a committed
        offset, and super() reads maps that a concurrent revoke empties."""
        engine = self._host.engine
        wanted = [TopicPartition(*tp) for tp in self.assignment() if not self._is_changelog_tp(tp)]
        offsets = await self._thread.group_offsets([tp for tp in wanted if not engine.owns(tp.topic)])
        self._sought = {TP(*tp): offset or 0 for tp, offset in offsets.items()}
        self._told_at = 0.0
        for tp in wanted:
            if engine.owns(tp.topic) and (position := engine.position(tp.topic, tp.partition)) is not None:
                offsets[tp] = position
        await self._thread.reposition(offsets)

    async def reposition(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Continue reading partitions at these offsets."""
        await self._thread.reposition({TopicPartition(*tp): offset for tp, offset in offsets.items()})

    def end_offset(self, topic: str, partition: int) -> int | None:
        """The log end that the last fetch reported, or None."""
        tp = TP(topic, partition)
        if tp not in self.assignment():
            return None
        end: int | None = self._thread.highwater(tp)
        return end

    def ends(self) -> dict[str, Ends]:
        """What the last fetches said of all logs that are read, by source (`topic/partition`).

        One pass over aiokafka's own state: Faust's `assignment` makes a new set of all partitions each time.
        """
        consumer = self._thread._consumer
        subscription = None if consumer is None else consumer._subscription.subscription
        assignment = None if subscription is None else subscription.assignment
        if assignment is None:
            return {}
        states = ((tp, assignment.state_value(tp)) for tp in assignment.tps)
        return {f"{tp.topic}/{tp.partition}": Ends(state.highwater, state.lso) for tp, state in states}


class Transport(driver.Transport):
    """Installs the consumer above."""

    Consumer = Consumer


def partitions(tps: Iterable[TP]) -> list[tuple[str, int]]:
    """Faust's partitions as plain pairs."""
    return [(tp.topic, tp.partition) for tp in tps]
