"""aiokafka's transactional producer, taught to send its offsets with the group's generation (KIP-447)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.client import CoordinationType
from aiokafka.errors import KafkaConnectionError, UnknownTopicOrPartitionError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.producer.sender import Sender, TxnOffsetCommitHandler
from aiokafka.structs import OffsetAndMetadata, RecordMetadata

from schemas.topics import MAX_MESSAGE_BYTES
from streams.engine.broker.coordinators import TRANSACTION_TIMEOUT_MS, Partition
from streams.engine.broker.errors import COORDINATOR_MOVED, PASSING, Refused, raise_for
from streams.engine.broker.requests import TAGS, TxnOffsetCommit, by_topic
from streams.engine.ownership import Membership
from streams.ledger.effects import Headers

BATCH_BYTES = 1 << 20
"""One batch of one partition; a message that is larger is a batch of its own."""

REQUEST_TIMEOUT_MS = 8_000
AGAIN_MS = 20
GIVE_UP_S = 5.0


class Batch(BatchBuilder):  # type: ignore[misc]
    """A batch for a transaction, to which keys and values are added as the bytes that they are."""

    _relative_offset: int

    def __init__(self) -> None:
        super().__init__(BATCH_BYTES, 0, is_transactional=True)

    def add(self, timestamp_ms: int, key: bytes | None, value: bytes | None, headers: Headers) -> bool:
        """Add a record; False if it does not fit. Half of `append`'s time, several times an order."""
        number = self._relative_offset
        if self._closed or self._builder.append(number, timestamp_ms, key, value, headers) is None:
            self.close()
            return False
        self._relative_offset = number + 1
        return True


class _OffsetCommit(TxnOffsetCommitHandler):  # type: ignore[misc]
    """Sends v3. An error that does not pass fails the offsets' future, so that nothing is committed."""

    def create_request(self) -> TxnOffsetCommit:
        manager, member = self._sender._txn_manager, self._sender.member
        rows = {
            (tp.topic, tp.partition): (tp.partition, offset.offset, -1, offset.metadata, TAGS)
            for tp, offset in self._offsets.items()
        }
        return TxnOffsetCommit(
            manager.transactional_id,
            self._group_id,
            manager.producer_id,
            manager.producer_epoch,
            member.generation,
            member.member_id,
            None,
            [(topic, partitions, TAGS) for topic, partitions in by_topic(rows).items()],
            TAGS,
        )

    def handle_response(self, answer: Any) -> float | None:
        codes = {
            TopicPartition(topic, number): code
            for topic, rows, _ in answer.errors
            for number, code, _ in rows
        }
        manager = self._sender._txn_manager
        missing = self._offsets.keys() - codes.keys()
        try:
            if missing:
                raise Refused(f"the coordinator did not answer for {sorted(missing)}")
            for code in codes.values():
                if code not in PASSING:
                    raise_for(code, "TxnOffsetCommit")
        except Exception as error:
            _, _, future = manager._pending_txn_offsets.popleft()
            future.set_exception(error)
            return None
        if any(codes.values()):
            if COORDINATOR_MOVED & set(codes.values()):
                return float(self.handle_error())
            return float(self._default_backoff)
        for tp in codes:
            manager.offset_committed(tp, self._offsets[tp].offset, self._group_id)
        return None


class _Sender(Sender):  # type: ignore[misc]
    """aiokafka's sender with the handler above, and the group before the partitions.

    Brokers verify with the transaction's coordinator that a batch's partition belongs to the transaction.
    While that one adds the group, it says CONCURRENT_TRANSACTIONS; clients of this age are told
    NOT_ENOUGH_REPLICAS, and the batch is sent again. So nothing is added once batches are on their way.
    """

    member: Membership
    let_go = False
    """Nothing is sent any more."""

    def _maybe_do_transactional_request(self) -> asyncio.Task[Any] | None:
        group = self._txn_manager.consumer_group_to_add()
        if group is not None:
            return asyncio.get_running_loop().create_task(self._do_add_offsets_to_txn(group))
        request: asyncio.Task[Any] | None = super()._maybe_do_transactional_request()
        return request

    async def _send_produce_req(self, node_id: int, batches: Mapping[TopicPartition, Any]) -> None:
        try:
            await super()._send_produce_req(node_id, batches)
        except KeyError:  # a batch that has failed meanwhile cannot be sent again
            if not self.let_go:
                raise

    async def _do_txn_offset_commit(self, offsets: Any, group_id: str) -> None:
        node = await self._find_coordinator(CoordinationType.GROUP, group_id)
        await _OffsetCommit(self, offsets, group_id).do(node)


class WorkerProducer:
    """One transactional id. One transaction at a time; after one that failed it is not used any more."""

    def __init__(self, client: Mapping[str, Any], transactional_id: str) -> None:
        self.transactional_id = transactional_id
        self._producer = producer = AIOKafkaProducer(
            **client,
            transactional_id=transactional_id,
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            max_batch_size=BATCH_BYTES,
            max_request_size=MAX_MESSAGE_BYTES,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            retry_backoff_ms=AGAIN_MS,
            linger_ms=0,
        )
        self._counts: dict[str, int] = {}
        self._manager = producer._txn_manager
        self._sender = producer._sender = _Sender(
            producer.client,
            acks=-1,
            txn_manager=self._manager,
            message_accumulator=producer._message_accumulator,
            retry_backoff_ms=AGAIN_MS,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )

    async def start(self, topics: Iterable[str]) -> None:
        """Connect, initialise the id, learn the partitions of `topics`. Raises what aiokafka raises.

        The numbers are learned once. While brokers start, metadata may lack a topic for a moment, and a key
        that is counted into another number of partitions finds another ledger.
        """
        await self._producer.start()
        names, cluster = list(topics), self._producer.client.cluster
        await self._producer.client.set_topics(names)
        self._counts = {topic: len(cluster.partitions_for_topic(topic) or ()) for topic in names}
        unknown = sorted(topic for topic, count in self._counts.items() if not count)
        if unknown:
            raise UnknownTopicOrPartitionError(f"the cluster does not know {', '.join(unknown)}")

    def partitions(self, topic: str) -> int:
        """How many partitions a topic had at the start."""
        return self._counts[topic]

    async def send(
        self,
        batches: Iterable[tuple[Partition, Batch]],
        offsets: Mapping[Partition, int],
        metadata: Mapping[Partition, str],
        group: str,
        member: Membership,
    ) -> dict[Partition, int]:
        """Begin a transaction and have everything that belongs to it acknowledged; it is not committed yet.

        `metadata` goes beside the offsets.
        Returns the offset after the last record of each partition. Raises Refused, Fenced or what aiokafka
        raises for a batch: then the transaction must not be committed.
        """
        if not member.valid:
            raise Refused("this worker was thrown out of its group")
        self._sender.member = member
        await self._producer.begin_transaction()
        self._manager.wait_for_transaction_end().add_done_callback(_seen)
        accepted = self._manager.add_offsets_to_txn(
            {TopicPartition(*tp): OffsetAndMetadata(at, metadata[tp]) for tp, at in offsets.items()},
            group,
        )
        accepted.add_done_callback(_seen)
        sent = []
        for (topic, number), batch in batches:
            future = await self._producer.send_batch(batch, topic, partition=number)
            future.add_done_callback(_seen)
            sent.append((future, batch.record_count()))
        acknowledged = await asyncio.gather(*(future for future, _ in sent))
        await accepted
        ends: dict[Partition, int] = {}
        for found, (_, count) in zip(acknowledged, sent, strict=True):
            ends[found.topic, found.partition] = _end(found, count)
        return ends

    async def end(self) -> None:
        """Commit. From here on only the broker knows the outcome, until this returns."""
        await self._producer.commit_transaction()

    async def close(self) -> None:
        """Let go of a producer that has nothing open."""
        await self._producer.stop()

    async def abandon(self) -> None:
        """Let go of a producer whose transaction failed, whatever is still on its way."""
        self._producer._closed = True
        client, self._sender.let_go = self._producer.client, True
        # Requests that are on their way end with their connections, and would open others to try again.
        client._get_conn = _no_connection
        if self._sender.sender_task is not None:
            self._sender.sender_task.cancel()
        for ended in (client.close, self._sent, client.close):  # again: one was perhaps just being opened
            with contextlib.suppress(Exception, asyncio.CancelledError):
                async with asyncio.timeout(GIVE_UP_S):
                    await ended()
        for batches in self._producer._message_accumulator._batches.values():
            for batch in batches:
                batch._drain_waiter.add_done_callback(_seen)

    async def _sent(self) -> None:
        if self._sender.sender_task is not None:
            await self._sender.sender_task


async def _no_connection(*_: Any, **__: Any) -> None:
    raise KafkaConnectionError("this producer was let go of")


def _end(found: RecordMetadata, count: int) -> int:
    return int(found.offset) + count


def _seen(future: asyncio.Future[Any]) -> None:
    """An exception that the caller learns in another way is no news for asyncio's log."""
    if not future.cancelled():
        future.exception()
