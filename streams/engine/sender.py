"""Commands from outside the transactions: ticks and Fluent's answers. Both may be lost or repeated."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError, KafkaException, Message, Producer

from streams.kafka import producing
from streams.log import get_logger

log = get_logger("engine.sender")

SENT_AGAIN = "none: it is sent again; when it repeats, look at the brokers"


OnAppended = Callable[[int, float], None]


class Sender:
    """A plain idempotent producer with a thread that serves its callbacks."""

    def __init__(self, client: Mapping[str, Any], wire_name: Callable[[str], str]) -> None:
        self.on_appended: OnAppended = lambda append_ms, took_s: None
        """In the producer's thread: when a command was appended, and how many seconds ago it was sent."""
        self.on_failed: Callable[[str], None] = lambda why: None
        """In the producer's thread: it has failed for good, and nothing is sent any more."""
        self._wire_name = wire_name
        self._producer = Producer(producing(client) | {"queue.buffering.max.messages": 100_000})
        self._stopped = threading.Event()
        threading.Thread(target=self._serve, name="sender", daemon=True).start()

    def to_partition(self, topic: str, partition: int, value: bytes) -> None:
        """Send a command to one partition of a logical topic."""
        self._send(self._wire_name(topic), value, None, partition)

    def keyed(self, topic: str, key: bytes, value: bytes) -> None:
        """Send a command under its subject's key."""
        self._send(self._wire_name(topic), value, key, -1)

    def close(self, timeout_s: float = 5.0) -> None:
        """Send what is queued, then stop."""
        self._producer.flush(timeout_s)
        self._stopped.set()

    def _send(self, topic: str, value: bytes, key: bytes | None, partition: int) -> None:
        try:
            self._producer.produce(topic, value, key, partition, on_delivery=self._delivered)
        except BufferError:
            log.warning("command_dropped", topic=topic, why="the queue is full", recommendation=SENT_AGAIN)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            log.warning(
                "command_not_delivered", topic=message.topic(), error=str(error), recommendation=SENT_AGAIN
            )
            return
        kind, append_ms = message.timestamp()
        if kind == TIMESTAMP_LOG_APPEND_TIME:
            self.on_appended(append_ms, message.latency() or 0.0)

    def _serve(self) -> None:
        try:
            while not self._stopped.is_set():
                self._producer.poll(0.1)
        except KafkaException as failure:
            self.on_failed(f"commands cannot be sent any more: {failure}")
