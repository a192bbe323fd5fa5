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
REPLACE_EVERY_S = 1.0
"""Where each producer fails for good, as without the right to be idempotent, so often another one is made."""

CLIENT_HEADER = "bridge-client"
CALLERS_REPEAT = "none: callers repeat their events; when it repeats, see `error`"

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
        self._failure: KafkaError | None = None
        """Why the producer sends nothing more; a new one takes its place with the next event."""
        self._failed: list[Producer] = []
        """Producers that were replaced and still have something to say."""
        self._replaced_at = float("-inf")
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
        producer = self._usable_producer()
        given = ((CLIENT_HEADER, client), (TRACEPARENT, trace))
        headers: list[tuple[str, str | bytes | None]] = [(name, text) for name, text in given if text]

        def delivered(error: KafkaError | None, message: Message) -> None:
            self._settle(future, error, message)

        try:
            producer.produce(
                self._settings.prefixed(topic), value, key, headers=headers, on_delivery=delivered
            )
        except BufferError:
            raise Undelivered("too many events wait for the broker") from None
        except KafkaException as failure:
            self._poll_soon()  # a failure for good is told by a poll
            raise _undelivered(failure.args[0]) from None
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
            self._serve(producer)
        self._failed = [producer for producer in self._failed if len(producer)]
        if self._failed or len(self._producer):
            self._poll_soon()
        else:
            self._settled.set()

    def _serve(self, producer: Producer) -> None:
        """Call what waits for news of a producer. It raises, once, when it has failed for good."""
        try:
            producer.poll(0)
        except KafkaException as failure:
            if producer is self._producer:
                self._failure = failure.args[0]

    def _settle(
        self, future: asyncio.Future[tuple[int, int]], error: KafkaError | None, message: Message
    ) -> None:
        if error is None:
            self.acknowledged_at = self._loop.time()
        if future.done():
            return
        if error is None:
            future.set_result((message.partition() or 0, message.offset() or 0))
        else:
            future.set_exception(_undelivered(error))

    def _usable_producer(self) -> Producer:
        """An idempotent producer that met a fatal error sends nothing more; a new one does.

        Raises Undelivered where there is none just now.
        """
        failure, now = self._failure, self._loop.time()
        if failure is None:
            return self._producer
        if now - self._replaced_at < REPLACE_EVERY_S:
            raise _undelivered(failure)
        self._replaced_at = now
        try:
            producer = self._new_producer()
        except KafkaException as refused:
            raise _undelivered(refused.args[0]) from None
        log.error("producer_replaced", error=failure.str(), recommendation=CALLERS_REPEAT)
        self._failed.append(self._producer)
        self._producer, self._failure = producer, None
        return producer


def _undelivered(error: KafkaError) -> Undelivered:
    too_large = error.code() in (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE)
    return Undelivered(error.str(), too_large=too_large)
