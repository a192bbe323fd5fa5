"""The producer: an event is sent once the broker has acknowledged it, and only then.

librdkafka's callbacks are served in the event loop, by a timer that runs while something is under way. A
thread that waited for them would contend for the interpreter with the very requests that it has news of.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from bridge.records import Source
from streams.kafka import producer_config
from streams.log import get_logger
from streams.settings import Settings
from streams.tracing import TRACEPARENT

LINGER_MS = 1
ACKNOWLEDGE_MS = 5_000
"""After this long without an acknowledgement the caller gets a 503."""

QUEUE_KBYTES = 65_536
POLL_EVERY_S = 0.002
FLUSH_S = 10.0

CLIENT_HEADER = "bridge-client"

log = get_logger("bridge")


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
        self._producer = self._new_producer()
        self._failed: list[Producer] = []
        """Producers that were replaced and still have something to say."""
        self._timer: asyncio.TimerHandle | None = None
        self._settled = asyncio.Event()
        self._settled.set()
        self.acknowledged_at = 0.0

    async def send(self, topic: str, key: str, value: bytes, client: str, trace: str = "") -> Source:
        """Send an event to `topic` (logical name); returns its place once the broker has it.

        `client` goes into a header of the record, so that its sender can be found later, and so does the
        trace context; what is empty has no header. Raises Undelivered.
        """
        future: asyncio.Future[tuple[int, int]] = self._loop.create_future()
        producer = self._producer
        given = ((CLIENT_HEADER, client), (TRACEPARENT, trace))
        headers: list[tuple[str, str | bytes | None]] = [(name, text) for name, text in given if text]

        def delivered(error: KafkaError | None, message: Message) -> None:
            self._settle(producer, future, error, message)

        try:
            producer.produce(
                self._settings.prefixed(topic), value, key, headers=headers, on_delivery=delivered
            )
        except BufferError:
            raise Undelivered("too many events wait for the broker") from None
        except KafkaException as error:
            raise _undelivered(error.args[0]) from None
        self._poll_soon()
        return Source(topic, *await future)

    def probe(self, timeout_s: float) -> bool:
        """Whether a broker answers; blocks for `timeout_s` seconds at most."""
        try:
            self._producer.list_topics(timeout=timeout_s)
        except KafkaException:
            return False
        return True

    async def close(self) -> None:
        """Wait until everything that was sent is settled, FLUSH_S at most."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._settled.wait(), FLUSH_S)
        if self._timer is not None:
            self._timer.cancel()

    def _new_producer(self) -> Producer:
        own: dict[str, Any] = {
            "linger.ms": LINGER_MS,
            "message.timeout.ms": ACKNOWLEDGE_MS,
            "queue.buffering.max.kbytes": QUEUE_KBYTES,
        }
        return Producer(producer_config(self._settings) | own)

    def _poll_soon(self) -> None:
        if self._timer is None:
            self._settled.clear()
            self._timer = self._loop.call_later(POLL_EVERY_S, self._poll)

    def _poll(self) -> None:
        self._timer = None
        for producer in (self._producer, *self._failed):
            producer.poll(0)
        self._failed = [producer for producer in self._failed if len(producer)]
        if self._failed or len(self._producer):
            self._poll_soon()
        else:
            self._settled.set()

    def _settle(
        self,
        producer: Producer,
        future: asyncio.Future[tuple[int, int]],
        error: KafkaError | None,
        message: Message,
    ) -> None:
        if error is None:
            self.acknowledged_at = self._loop.time()
        elif error.fatal() and producer is self._producer:
            self._replace(error)
        if future.done():
            return
        if error is None:
            future.set_result((message.partition() or 0, message.offset() or 0))
        else:
            future.set_exception(_undelivered(error))

    def _replace(self, error: KafkaError) -> None:
        """An idempotent producer that met a fatal error sends nothing more; a new one does."""
        log.error("producer_replaced", error=error.str(), recommendation="none: callers repeat their events")
        self._failed.append(self._producer)
        self._producer = self._new_producer()


def _undelivered(error: KafkaError) -> Undelivered:
    too_large = error.code() in (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE)
    return Undelivered(error.str(), too_large=too_large)
