"""The one consumer behind all waiters and all status questions: what is committed in the outcome topics.

It joins no group and commits nothing: every instance of the bridge reads every partition. It begins some way
back, so that questions about the recent past have an answer, and is caught up once it has read that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from bridge.records import Arrival, source_of
from schemas.topics import (
    DEAD_LETTERS,
    ORDER_OUTCOMES,
    PROMOTION_RESULTS,
    RECONCILIATION_REPORTS,
    SALE_FIGURES,
)
from streams.kafka import consumer_config
from streams.log import get_logger
from streams.reader import headers_of, is_about_a_group
from streams.settings import Settings

EVERYTHING = 1 << 62

HISTORY: Mapping[str, int] = MappingProxyType(
    {
        ORDER_OUTCOMES: 250_000,
        PROMOTION_RESULTS: 50_000,
        RECONCILIATION_REPORTS: 50_000,
        DEAD_LETTERS: 0,
        SALE_FIGURES: EVERYTHING,  # compacted, and of the last month only
    }
)
"""Each topic that is read, and how many of its newest records are read at the start."""

BATCH = 200
TAKE_EVERY_S = 0.01
"""Time between two looks at what librdkafka has fetched, unless a batch was full."""

BROKER_S = 10.0
PAUSE_S = 1.0
TELL_EVERY_S = 60.0

log = get_logger("bridge")

Deliver = Callable[[list[Arrival]], None]


class ReadAgain(Exception):
    """Whoever is delivered to has lost what it knew: the recent past must be read once more."""


class Inbox:
    """Reads in the event loop, batch by batch, and hands each to `deliver`. Create it in that loop.

    `begin` is called whenever reading begins, at the recent past each time.
    """

    def __init__(self, settings: Settings, deliver: Deliver, begin: Callable[[], None]) -> None:
        self._settings = settings
        self._deliver = deliver
        self._begin = begin
        self._topics = {settings.prefixed(topic): topic for topic in HISTORY}
        self._stopping = asyncio.Event()
        self._unreadable = Unreadable()
        self._reading = asyncio.create_task(self._run())
        self.is_caught_up = False
        """Whether everything is read that was there at the start."""
        self.is_current = False
        """Whether what comes is read as well: not where reading failed and begins again."""

    async def stop(self) -> None:
        """End the reading; waits BROKER_S at most for a broker that does not answer."""
        self._stopping.set()
        await asyncio.wait({self._reading}, timeout=BROKER_S)

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._read()
            except ReadAgain:
                self.is_caught_up = False
            except KafkaException as failure:
                self._unreadable.tell(failure.args[0].str())
            except Exception:
                log.exception("outcomes_unreadable", recommendation="none: reading begins again")
            self.is_current = False
            await self._pause(PAUSE_S)

    async def _read(self) -> None:
        quick = {"fetch.wait.max.ms": 100, "allow.auto.create.topics": False}
        consumer = Consumer(consumer_config(self._settings, "bridge") | quick)
        try:
            ends = await asyncio.to_thread(self._assign, consumer)
            self._begin()
            while not self._stopping.is_set():
                messages = [found for found in consumer.consume(BATCH, 0) if not is_about_a_group(found)]
                records = [message for message in messages if self._is_record(message)]
                self._deliver([self._arrival(record) for record in records])
                if ends:
                    ends = _not_reached(consumer, ends)
                elif not self.is_current:
                    self.is_caught_up = self.is_current = True
                    log.info("outcomes_caught_up")
                await self._pace(len(messages), len(records))
        finally:
            await asyncio.to_thread(consumer.close)

    async def _pace(self, messages: int, records: int) -> None:
        if records < messages:
            await self._pause(PAUSE_S)
        else:
            await asyncio.sleep(0 if messages == BATCH else TAKE_EVERY_S)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def _assign(self, consumer: Consumer) -> list[TopicPartition]:
        """Place the consumer; returns where each partition's last stable offset is now."""
        places, ends = [], []
        for name, topic in self._topics.items():
            partitions = consumer.list_topics(name, BROKER_S).topics[name].partitions
            if not partitions:
                raise KafkaException(KafkaError(KafkaError._UNKNOWN_TOPIC, f"there is no topic {name}"))
            for number in partitions:
                begin, end = consumer.get_watermark_offsets(TopicPartition(name, number), BROKER_S)
                back = HISTORY[topic] // len(partitions)
                places.append(TopicPartition(name, number, max(begin, end - back)))
                ends.append(TopicPartition(name, number, end))
        consumer.assign(places)
        started = {(place.topic, place.partition): place.offset for place in places}
        return [end for end in ends if end.offset > started[end.topic, end.partition]]

    def _is_record(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            return True
        if error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):
            raise KafkaException(error)
        self._unreadable.tell(error.str())
        return False

    def _arrival(self, message: Message) -> Arrival:
        topic = self._topics[message.topic() or ""]
        source, headers = source_of(headers_of(message), self._settings.topic_prefix)
        # A dead letter's value is the caller's own event, of which nobody here wants a copy.
        value = b"" if topic == DEAD_LETTERS else message.value() or b""
        key = (message.key() or b"").decode(errors="replace")
        return Arrival(topic, key, value, source, headers, message.timestamp()[1])


class Unreadable:
    """Says why nothing can be read: once, and again where that changes or goes on."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told = ("", float("-inf"))
        self._kept_back = 0

    def tell(self, error: str) -> None:
        """It could not be read, for this reason."""
        told, at = self._told
        if error == told and self._clock() - at < TELL_EVERY_S:
            self._kept_back += 1
            return
        log.warning(
            "outcomes_unreadable",
            error=error,
            kept_back=self._kept_back,
            recommendation="none: it tries again every second; where it lasts, `flashsale check`",
        )
        self._told, self._kept_back = (error, self._clock()), 0


def _not_reached(consumer: Consumer, ends: list[TopicPartition]) -> list[TopicPartition]:
    """By position, not by records: transaction markers and aborted records leave holes."""
    positions = consumer.position([TopicPartition(end.topic, end.partition) for end in ends])
    reached = {(at.topic, at.partition): at.offset for at in positions}
    return [end for end in ends if reached[end.topic, end.partition] < end.offset]
