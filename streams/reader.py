"""Committed records of our topics, read without joining a consumer group: nobody's position moves."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from operator import methodcaller
from typing import cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from streams.kafka import client_config, consumer_config
from streams.settings import ConfigurationError, NoBrokerError, Settings

TIMEOUT_S = 15.0
"""For an answer of the broker, and for a reader that gets no further."""

NO_LEADER = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)
POLL_S = 0.1
BATCH = 2_000


@dataclass(frozen=True, slots=True)
class Span:
    """What a partition holds now; `topic` is its name on the broker.

    `begin` is its first offset, `end` its last stable one: everything below is committed or aborted.
    """

    topic: str
    partition: int
    begin: int
    end: int

    def at(self, offset: int) -> TopicPartition:
        """A place in this partition, as a consumer's `assign` takes it."""
        return TopicPartition(self.topic, self.partition, offset)


class Reader:
    """A `read_committed` consumer of every partition of some topics; `seek` places it, `narrow` keeps one."""

    def __init__(self, consumer: Consumer, spans: list[Span]) -> None:
        self._consumer = consumer
        self._all = spans
        self.spans = spans
        self._left_out: set[tuple[str, int]] = set()

    def seek(self, *, to_beginning: bool) -> None:
        """Read from the beginning of each log, or from its end."""
        self._consumer.assign([span.at(span.begin if to_beginning else span.end) for span in self.spans])

    def narrow(self, partition: int, begin: int = 0, end: int | None = None) -> Span:
        """Read only this partition from now on, and of it what lies in begin <= offset < end.

        Returns what of that the log still holds. Raises ConfigurationError for a partition that is not there.
        """
        found = next((span for span in self._all if span.partition == partition), None)
        if found is None:
            raise ConfigurationError(f"There is no partition {partition} of {self._all[0].topic}.")
        last = found.end if end is None else min(end, found.end)
        span = replace(found, begin=min(max(begin, found.begin), last), end=last)
        self.spans = [span]
        return span

    def begin_at(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Read only these partitions (topic on the broker, number), each from its offset on."""
        self.spans = [
            _from(span, max(span.begin, offsets[span.topic, span.partition]))
            for span in self.spans
            if (span.topic, span.partition) in offsets
        ]

    def skip_to(self, at_ms: int) -> None:
        """Leave out what was written before `at_ms` (Unix milliseconds). Raises KafkaException."""
        if at_ms <= 0 or not self.spans:
            return
        asked = [span.at(at_ms) for span in self.spans]
        found = {}
        for at in self._consumer.offsets_for_times(asked, TIMEOUT_S):
            if at.error is not None:  # its offset is still the time that was asked for
                raise KafkaException(at.error)
            found[at.topic, at.partition] = at.offset
        self.spans = [_from(span, found[span.topic, span.partition]) for span in self.spans]

    def newest(self, count: int) -> None:
        """Read at most the newest `count` offsets of each partition."""
        self.spans = [_from(span, max(span.begin, span.end - count)) for span in self.spans]

    def poll(self, timeout_s: float, most: int = BATCH) -> list[Message]:
        """The next records, none when none comes in time. Raises KafkaException."""
        found = self._consumer.consume(most, timeout_s)
        return [_checked(message) for message in found if not is_about_a_group(message)]

    def to_the_end(self, most: int = BATCH) -> Iterator[Message]:
        """Every record that was there when the reader was opened, from the beginning; `most` at a time.

        Raises KafkaException, and NoBrokerError when the broker has gone silent.
        """
        self.seek(to_beginning=True)
        left = [span for span in self.spans if span.begin < span.end]
        deadline = time.monotonic() + TIMEOUT_S
        while left:
            messages = self.poll(POLL_S, most)
            yield from messages
            left = [span for span in left if (span.topic, span.partition) not in self._left_out]
            still = unreached(self._consumer, left)
            if messages or len(still) < len(left):
                deadline = time.monotonic() + TIMEOUT_S
            elif time.monotonic() > deadline:
                silent = ", ".join(sorted({span.topic for span in left}))
                raise NoBrokerError(f"The Kafka broker sent nothing of {silent} for {TIMEOUT_S:.0f} s.")
            left = still

    def firsts(self) -> Iterator[Message]:
        """The first record of each partition that has one, without the rest of it. Raises as `to_the_end`."""
        for message in self.to_the_end():
            place = (str(message.topic()), int(message.partition() or 0))
            if place not in self._left_out:
                self._left_out.add(place)
                self._consumer.pause([TopicPartition(*place)])
                yield message


@contextmanager
def reading(
    settings: Settings, *topics: str, idle_fetch_ms: int = 100, uncommitted: bool = False
) -> Iterator[Reader]:
    """A reader of some topics (logical names), closed at the end.

    A fetch that finds nothing is answered after `idle_fetch_ms`. `uncommitted`: what stands in an open
    transaction, too. Raises ConfigurationError when the broker does not have one of the topics.
    """
    quiet: dict[str, object] = {"allow.auto.create.topics": False, "fetch.wait.max.ms": idle_fetch_ms}
    if uncommitted:
        quiet["isolation.level"] = "read_uncommitted"
    consumer = Consumer(consumer_config(settings, "reader") | quiet)
    try:
        yield Reader(consumer, spans_of(consumer, map(settings.prefixed, topics)))
    finally:
        consumer.close()


def read_to_end(settings: Settings, *topics: str) -> Iterator[Message]:
    """Every committed record that some topics (logical names) hold now; in order within a partition.

    Raises ConfigurationError when the broker does not have one of the topics or falls silent, and
    KafkaException.
    """
    with reading(settings, *topics) as reader:
        yield from reader.to_the_end()


def partitions_of(settings: Settings, *topics: str) -> list[tuple[str, int]]:
    """Every partition of some topics (logical names), as (name on the broker, number).

    Raises ConfigurationError when the broker does not have one of them, and KafkaException.
    """
    known = AdminClient(client_config(settings)).list_topics(timeout=TIMEOUT_S).topics
    found = []
    for name in map(settings.prefixed, topics):
        if name not in known:
            raise ConfigurationError(f"The topic {name} does not exist; create it with `flashsale topics`.")
        found += [(name, number) for number in sorted(known[name].partitions)]
    return found


def spans_of(consumer: Consumer, names: Iterable[str]) -> list[Span]:
    """What each partition of these topics (names on the broker) holds now.

    Raises ConfigurationError when the broker does not have one of them, and KafkaException.
    """
    spans = []
    for name in names:
        known = consumer.list_topics(name, TIMEOUT_S).topics[name]
        if known.error is not None:
            raise ConfigurationError(f"The topic {name} does not exist; create it with `flashsale topics`.")
        for number in sorted(known.partitions):
            spans.append(Span(name, number, *_watermarks(consumer, TopicPartition(name, number))))
    return spans


def _from(span: Span, offset: int) -> Span:
    """What of a span begins at `offset`; below 0 (librdkafka's OFFSET_END) nothing does."""
    return replace(span, begin=span.end if offset < 0 else min(offset, span.end))


def _watermarks(consumer: Consumer, partition: TopicPartition) -> tuple[int, int]:
    """First and last stable offset; waits for a partition that has no leader yet, as after its creation."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            return consumer.get_watermark_offsets(partition, TIMEOUT_S)
        except KafkaException as failure:
            if failure.args[0].code() not in NO_LEADER or time.monotonic() > deadline:
                raise
        time.sleep(POLL_S)  # the broker tells nobody when a leader is elected


def unreached(consumer: Consumer, spans: Iterable[Span]) -> list[Span]:
    """Those of `spans` to whose end the consumer has not read.

    It goes by position, not by the offsets of records: transaction markers and aborted records leave holes.
    """
    positions = consumer.position([span.at(span.begin) for span in spans])
    reached = {(at.topic, at.partition): at.offset for at in positions}
    return [span for span in spans if reached[span.topic, span.partition] < span.end]


def is_about_a_group(message: Message) -> bool:
    """librdkafka looks for the coordinator of a group that is never joined, and says so where it may not."""
    error = message.error()
    return error is not None and error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED


_headers = methodcaller("headers")
"""Never `message.headers()`: the binding returns an error together with a broken list, which the interpreter
notices in this way, but not once it has specialised a call of its own."""


def headers_of(message: Message) -> list[tuple[str, bytes | None]]:
    """A record's headers; none where the name of one is no UTF-8, which Kafka takes and the client not."""
    try:
        # A dict is what its type also allows: for producing, never for what was consumed.
        return cast("list[tuple[str, bytes | None]]", _headers(message) or [])
    except (SystemError, UnicodeDecodeError):
        message.set_headers([])  # the binding keeps a list with holes, at which it would crash
        return []


def _checked(message: Message) -> Message:
    """The record itself. Raises KafkaException for an error in its place."""
    error = message.error()
    if error is not None:
        raise KafkaException(error)
    return message
