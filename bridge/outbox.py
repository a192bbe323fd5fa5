"""The producer: an event is sent once the broker has acknowledged it, and only then.

librdkafka calls back in a thread of ours; results go to the event loop together, one wake-up for many.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from bridge.records import Source
from streams.kafka import producer_config
from streams.log import get_logger
from streams.settings import Settings

LINGER_MS = 1
ACKNOWLEDGE_MS = 5_000
"""After this long without an acknowledgement the caller gets a 503."""

QUEUE_KBYTES = 65_536
POLL_S = 0.1
FLUSH_S = 10.0

log = get_logger("bridge")


@dataclass(frozen=True, slots=True)
class _Delivery:
    """What a producer says about one event."""

    producer: Producer
    future: asyncio.Future[tuple[int, int]]
    error: KafkaError | None
    partition: int
    offset: int


class Undelivered(Exception):
    """The broker has not acknowledged the event; `too_large` when it never will."""

    def __init__(self, cause: str, *, too_large: bool = False) -> None:
        super().__init__(cause)
        self.too_large = too_large


class Outbox:
    """An idempotent producer (acks=all) for coroutines. Create it in the event loop that uses it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._delivered: deque[_Delivery] = deque()
        self._closing = threading.Event()
        self._producer = self._new_producer()
        self._thread = threading.Thread(target=self._poll, name="outbox", daemon=True)
        self._thread.start()
        self.acknowledged_at = 0.0
        self.waiting = 0

    async def send(self, topic: str, key: str, value: bytes) -> Source:
        """Send an event to `topic` (logical name); returns its place once the broker has it.

        Raises Undelivered.
        """
        future: asyncio.Future[tuple[int, int]] = self._loop.create_future()
        producer = self._producer

        def delivered(error: KafkaError | None, message: Message) -> None:
            place = message.partition() or 0, message.offset() or 0
            self._report(_Delivery(producer, future, error, *place))

        try:
            producer.produce(self._settings.prefixed(topic), value, key, on_delivery=delivered)
        except BufferError:
            raise Undelivered("too many events wait for the broker") from None
        except KafkaException as error:
            raise _undelivered(error.args[0]) from None
        self.waiting += 1
        try:
            return Source(topic, *await future)
        finally:
            self.waiting -= 1

    def probe(self, timeout_s: float) -> bool:
        """Whether a broker answers; blocks for `timeout_s` seconds at most."""
        try:
            self._producer.list_topics(timeout=timeout_s)
        except KafkaException:
            return False
        return True

    def close(self) -> None:
        """Wait until everything that was sent is settled, FLUSH_S at most."""
        self._producer.flush(FLUSH_S)
        self._closing.set()
        self._thread.join()

    def _new_producer(self) -> Producer:
        own: dict[str, Any] = {
            "linger.ms": LINGER_MS,
            "message.timeout.ms": ACKNOWLEDGE_MS,
            "queue.buffering.max.kbytes": QUEUE_KBYTES,
        }
        return Producer(producer_config(self._settings) | own)

    def _poll(self) -> None:
        while not self._closing.is_set():
            self._producer.poll(POLL_S)

    def _report(self, delivery: _Delivery) -> None:
        """In the thread that polls. Only the first of many wakes the loop, which takes all that are there."""
        self._delivered.append(delivery)
        if len(self._delivered) == 1:
            self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        while self._delivered:
            delivery = self._delivered.popleft()
            error = delivery.error
            if error is None:
                self.acknowledged_at = self._loop.time()
            elif error.fatal() and delivery.producer is self._producer:
                self._replace(error)
            if delivery.future.done():
                continue
            if error is None:
                delivery.future.set_result((delivery.partition, delivery.offset))
            else:
                delivery.future.set_exception(_undelivered(error))

    def _replace(self, error: KafkaError) -> None:
        """An idempotent producer that met a fatal error sends nothing more; a new one does."""
        log.error("producer replaced", error=error.str(), recommendation="none: callers repeat their events")
        failed, self._producer = self._producer, self._new_producer()
        self._loop.run_in_executor(None, failed.flush, FLUSH_S)


def _undelivered(error: KafkaError) -> Undelivered:
    too_large = error.code() in (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE)
    return Undelivered(error.str(), too_large=too_large)
