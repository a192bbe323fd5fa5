"""One task's transactional producer (KIP-98, KIP-447): outputs, rows and positions, all or nothing.

All calls here block and release the GIL where librdkafka waits; they run in the task's own thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streams.kafka import producing
from streams.ledger.effects import Send
from streams.ledger.rows import Changes

TRANSACTION_TIMEOUT_MS = 10_000
"""Longer than a batch may take, shorter than readers should wait for a dead owner's open transaction."""

_QUEUE_MESSAGES = 1_000_000


class Fenced(Exception):
    """Another producer with our transactional id took over."""


class Aborted(Exception):
    """The transaction was aborted; nothing of it will ever be visible."""


class OutcomeUnknown(Exception):
    """The broker did not say whether the transaction was committed."""


def producer_config(client: Mapping[str, Any], transactional_id: str) -> dict[str, Any]:
    """librdkafka settings of a transactional producer."""
    return producing(client) | {
        "transactional.id": transactional_id,
        "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
        "batch.num.messages": 50_000,
        "queue.buffering.max.messages": _QUEUE_MESSAGES,
        "queue.buffering.max.kbytes": 512_000,
        "message.timeout.ms": TRANSACTION_TIMEOUT_MS,
        "reconnect.backoff.ms": 50,
    }


class Transactions:
    """The producer of one task. `partition` is where the task's changelog and its own commands live."""

    def __init__(
        self,
        client: Mapping[str, Any],
        transactional_id: str,
        changelog: str,
        partition: int,
        wire_name: Callable[[str], str],
        own_partition: int,
    ) -> None:
        self.transactional_id = transactional_id
        self._config = producer_config(client, transactional_id)
        self._producer: Producer | None = None
        self._changelog = changelog
        self._partition = partition
        self._own_partition = own_partition
        self._wire_name = wire_name
        self._names: dict[str, str] = {}
        self._last_offset = -1

    def fence(self, timeout_s: float = 30.0) -> None:
        """Abort what a former owner left open and fence it off. Raises Fenced, or KafkaException.

        librdkafka initialises a producer once, so fencing ourselves again takes a new one.
        """
        self.close()
        self._producer = Producer(self._config)
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                self._producer.init_transactions(min(timeout_s, 10.0))
                return
            except KafkaException as error:
                self._raise_if_fenced(error)
                if not error.args[0].retriable() or time.monotonic() > deadline:
                    raise

    def commit(self, sends: Sequence[Send], changes: Changes) -> int:
        """Send everything as one transaction; returns the changelog offset after its last row.

        Raises Fenced, Aborted or OutcomeUnknown.
        """
        producer = self._producer
        if producer is None:
            raise Aborted("the producer is not initialised")
        try:
            producer.begin_transaction()
            self._send_all(producer, sends)
            self._send_rows(producer, changes)
        except KafkaException as error:
            self._raise_if_fenced(error)
            self._abort(producer, error)
        self._commit(producer)
        producer.poll(0)
        return self._last_offset + 1

    def close(self) -> None:
        """Let go of the producer. What is still queued belongs to a transaction that nobody will see."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
            producer.flush(0)

    def _send_all(self, producer: Producer, sends: Sequence[Send]) -> None:
        names, produce = self._names, producer.produce
        for send in sends:
            name = names.get(send.topic)
            if name is None:
                name = names[send.topic] = self._wire_name(send.topic)
            options: dict[str, Any] = {}
            if send.headers is not None:
                options["headers"] = send.headers
            if send.own:
                options["partition"] = self._own_partition
            try:
                produce(name, send.value, send.key, **options)
            except BufferError:
                self._make_room(producer)
                produce(name, send.value, send.key, **options)

    def _send_rows(self, producer: Producer, changes: Changes) -> None:
        produce, topic, partition = producer.produce, self._changelog, self._partition
        last = len(changes)
        for count, (key, value) in enumerate(changes.items(), 1):
            try:
                if count == last:
                    produce(topic, value, key, partition, on_delivery=self._delivered)
                else:
                    produce(topic, value, key, partition)
            except BufferError:
                self._make_room(producer)
                produce(topic, value, key, partition, on_delivery=self._delivered)

    @staticmethod
    def _make_room(producer: Producer) -> None:
        if producer.flush(TRANSACTION_TIMEOUT_MS / 1000):
            raise KafkaException(KafkaError(KafkaError._QUEUE_FULL, txn_requires_abort=True))

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        offset = message.offset()
        if error is None and offset is not None:
            self._last_offset = max(self._last_offset, offset)

    def _commit(self, producer: Producer) -> None:
        deadline = time.monotonic() + TRANSACTION_TIMEOUT_MS / 1000
        while True:
            try:
                producer.commit_transaction(TRANSACTION_TIMEOUT_MS / 1000)
                return
            except KafkaException as error:
                self._raise_if_fenced(error)
                if error.args[0].txn_requires_abort():
                    self._abort(producer, error)
                if not error.args[0].retriable() or time.monotonic() > deadline:
                    raise OutcomeUnknown(str(error)) from error

    def _abort(self, producer: Producer, cause: KafkaException) -> NoReturn:
        try:
            producer.abort_transaction(TRANSACTION_TIMEOUT_MS / 1000)
        except KafkaException as error:
            self._raise_if_fenced(error)
            raise OutcomeUnknown(str(error)) from error
        raise Aborted(str(cause)) from cause

    @staticmethod
    def _raise_if_fenced(error: KafkaException) -> None:
        inner = error.args[0]
        codes = (KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED)
        if inner.code() in codes or inner.fatal():
            raise Fenced(str(error)) from error
