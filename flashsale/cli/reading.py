"""Committed records of a topic of ours, read without joining a consumer group: nobody's position moves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from streams.kafka import consumer_config
from streams.settings import ConfigurationError, NoBrokerError, Settings

TIMEOUT_S = 15.0
"""For an answer of the broker, and for a reader that gets no further."""

POLL_S = 0.1
BATCH = 2_000


@dataclass(frozen=True, slots=True)
class Span:
    """What a partition holds now: `end` is its last stable offset, below which nothing is undecided."""

    partition: int
    begin: int
    end: int


class Reader:
    """A `read_committed` consumer of every partition of one topic; `seek` places it."""

    def __init__(self, consumer: Consumer, topic: str, spans: list[Span]) -> None:
        self._consumer = consumer
        self._topic = topic
        self._spans = spans

    def seek(self, *, to_beginning: bool) -> None:
        """Read from the beginning of the log, or from its end."""
        offsets = {span.partition: span.begin if to_beginning else span.end for span in self._spans}
        self._consumer.assign([TopicPartition(self._topic, number, at) for number, at in offsets.items()])

    def poll(self, timeout_s: float, most: int = BATCH) -> list[Message]:
        """The next records, none when none comes in time. Raises KafkaException."""
        return [_checked(message) for message in self._consumer.consume(most, timeout_s)]

    def to_the_end(self) -> Iterator[Message]:
        """Every record that is there now, from the beginning.

        Raises KafkaException, and NoBrokerError when the broker has gone silent.
        """
        self.seek(to_beginning=True)
        left = {span.partition: span.end for span in self._spans if span.begin < span.end}
        deadline = time.monotonic() + TIMEOUT_S
        while left:
            messages = self.poll(POLL_S)
            yield from messages
            reached = self._reached(left)
            if messages or reached:
                deadline = time.monotonic() + TIMEOUT_S
            elif time.monotonic() > deadline:
                raise NoBrokerError(f"The Kafka broker sent nothing of {self._topic} for {TIMEOUT_S:.0f} s.")
            left = {number: end for number, end in left.items() if number not in reached}

    def _reached(self, ends: dict[int, int]) -> set[int]:
        """By position, not by the offsets of records: transaction markers and aborted records leave holes."""
        positions = self._consumer.position([TopicPartition(self._topic, number) for number in ends])
        return {at.partition for at in positions if at.offset >= ends[at.partition]}


@contextmanager
def reader(settings: Settings, topic: str) -> Iterator[Reader]:
    """A reader of `topic` (logical name). Raises ConfigurationError when the broker does not have it."""
    name = settings.prefixed(topic)
    quiet = {"allow.auto.create.topics": False, "fetch.wait.max.ms": 100}
    consumer = Consumer(consumer_config(settings, "reader") | quiet)
    try:
        known = consumer.list_topics(name, TIMEOUT_S).topics[name]
        if known.error is not None:
            raise ConfigurationError(f"The topic {name} does not exist; create it with `flashsale topics`.")
        yield Reader(consumer, name, [_span(consumer, name, number) for number in known.partitions])
    finally:
        consumer.close()


def _span(consumer: Consumer, name: str, partition: int) -> Span:
    begin, end = consumer.get_watermark_offsets(TopicPartition(name, partition), TIMEOUT_S)
    return Span(partition, begin, end)


def _checked(message: Message) -> Message:
    """The record itself. Raises KafkaException for an error in its place."""
    error = message.error()
    if error is not None:
        raise KafkaException(error)
    return message
