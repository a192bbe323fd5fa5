"""The one consumer behind all waiters and all status questions: what is committed in the outcome topics.

It joins no group and commits nothing: every instance of the bridge reads every partition. It begins some way
back, so that questions about the recent past have an answer, and is caught up once it has read that.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from types import MappingProxyType
from typing import cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from bridge.records import Arrival, source_of
from streams.kafka import consumer_config
from streams.log import get_logger
from streams.settings import Settings
from streams.topology import DEAD_LETTERS, ORDER_OUTCOMES, PROMOTION_RESULTS, RECONCILIATION_REPORTS

HISTORY: Mapping[str, int] = MappingProxyType(
    {
        ORDER_OUTCOMES: 250_000,
        PROMOTION_RESULTS: 50_000,
        RECONCILIATION_REPORTS: 50_000,
        DEAD_LETTERS: 0,
    }
)
"""Each topic that is read, and how many of its newest records are read at the start."""

BATCH = 500
POLL_S = 0.1
BROKER_S = 10.0
PAUSE_S = 1.0

log = get_logger("bridge")

Deliver = Callable[[list[Arrival]], None]


class Inbox:
    """Reads in a thread of its own and hands batches to `deliver` in the event loop, one at a time."""

    def __init__(self, settings: Settings, deliver: Deliver) -> None:
        self._settings = settings
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._topics = {settings.prefixed(topic): topic for topic in HISTORY}
        self._stopping = threading.Event()
        self._caught_up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="inbox", daemon=True)
        self._thread.start()

    @property
    def is_caught_up(self) -> bool:
        """Whether everything is read that was there at the start, and what comes is read as well."""
        return self._caught_up.is_set() and self._thread.is_alive()

    def stop(self) -> None:
        """End the thread; blocks, so not in the event loop, which the thread may still need."""
        self._stopping.set()
        self._thread.join(BROKER_S)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._read()
            except KafkaException as failure:
                log.warning("outcomes cannot be read", error=failure.args[0].str(), recommendation="wait")
                self._stopping.wait(PAUSE_S)

    def _read(self) -> None:
        quick = {"fetch.wait.max.ms": 100, "allow.auto.create.topics": False}
        consumer = Consumer(consumer_config(self._settings, "bridge") | quick)
        try:
            ends = self._assign(consumer)
            while not self._stopping.is_set():
                messages = _next_of(consumer)
                if messages:
                    self._hand_over(messages)
                if ends:
                    ends = _not_reached(consumer, ends)
                elif not self._caught_up.is_set():
                    self._caught_up.set()
                    log.info("caught up")
        finally:
            consumer.close()

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

    def _hand_over(self, messages: list[Message]) -> None:
        """Wait until the loop has taken the batch: it sets the pace, nothing piles up."""
        arrivals = [self._arrival(message) for message in messages]
        taken: Future[None] = Future()

        def take() -> None:
            try:
                self._deliver(arrivals)
            finally:
                taken.set_result(None)

        self._loop.call_soon_threadsafe(take)
        while not self._stopping.is_set():
            try:
                return taken.result(POLL_S)
            except TimeoutError:
                continue

    def _arrival(self, message: Message) -> Arrival:
        topic = self._topics[message.topic() or ""]
        given = cast("list[tuple[str, bytes | None]]", message.headers() or [])
        source, headers = source_of(given, self._settings.topic_prefix)
        # A dead letter's value is the caller's own event, of which nobody here wants a copy.
        value = b"" if topic == DEAD_LETTERS else message.value() or b""
        return Arrival(topic, value, source, headers)


def _next_of(consumer: Consumer) -> list[Message]:
    """What is there, at once: a full batch is never waited for."""
    first = consumer.poll(POLL_S)
    if first is None:
        return []
    return [message for message in (first, *consumer.consume(BATCH - 1, 0)) if _is_record(message)]


def _is_record(message: Message) -> bool:
    error = message.error()
    if error is None:
        return True
    if error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):
        raise KafkaException(error)
    log.warning("outcomes cannot be read", error=error.str(), recommendation="none: it is tried again")
    time.sleep(POLL_S)
    return False


def _not_reached(consumer: Consumer, ends: list[TopicPartition]) -> list[TopicPartition]:
    """By position, not by records: transaction markers and aborted records leave holes."""
    positions = consumer.position([TopicPartition(end.topic, end.partition) for end in ends])
    reached = {(at.topic, at.partition): at.offset for at in positions}
    return [end for end in ends if reached[end.topic, end.partition] < end.offset]
