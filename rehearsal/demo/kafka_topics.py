"""Reading topics as an outsider would: committed records only, with a consumer of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from streams.kafka import consumer_config
from streams.settings import Settings

BATCH = 500
"""So few that who watches a burst sees its first outcomes while others are still undecided."""

METADATA_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 30.0

SOURCE_TOPIC = "source-topic"

Place = tuple[str, int, int]
"""(topic, partition, offset)"""


@dataclass(frozen=True, slots=True)
class Record:
    """A committed record, topics without the prefix; `timestamp_ms` as the topic stamps it."""

    topic: str
    partition: int
    offset: int
    value: bytes
    headers: dict[str, str]
    timestamp_ms: int

    @property
    def json(self) -> Any:
        """The value, decoded."""
        return json.loads(self.value)

    @property
    def place(self) -> Place:
        """Where it stands."""
        return self.topic, self.partition, self.offset

    @property
    def answers(self) -> Place:
        """The input record that it answers. Raises KeyError where the headers name none."""
        names = self.headers
        return names[SOURCE_TOPIC], int(names["source-partition"]), int(names["source-offset"])


class Reader:
    """Reads some topics from their beginning, and on from where it stopped each time that it is asked."""

    def __init__(
        self, settings: Settings, topics: Sequence[str], name: str, *, idle_fetch_ms: int = 500
    ) -> None:
        """`topics` without the prefix; `name` tells consumers apart in the broker's log.

        A fetch that finds nothing is answered after `idle_fetch_ms`: only then an end is known to be one.
        """
        self._settings = settings
        config = consumer_config(settings, f"demo-{name}")
        # Nothing is committed and no group is joined: positions are assigned by hand.
        config |= {"enable.partition.eof": True, "fetch.wait.max.ms": idle_fetch_ms}
        self._consumer = Consumer(config)
        self._partitions = _partitions(self._consumer, settings, topics)
        self._consumer.assign(self._partitions)

    def new(self, wait_s: float = 0.0) -> list[Record]:
        """What was committed since the last call, as far as it has arrived; waits up to `wait_s` for some."""
        messages = self._consumer.consume(BATCH, wait_s)
        return [record for message in messages if (record := self._record(message)) is not None]

    def to_the_end(self) -> Iterator[Record]:
        """Everything up to the end of each partition. Raises TimeoutError when that takes too long."""
        open_ends = {(part.topic, part.partition) for part in self._partitions}
        deadline = time.monotonic() + READ_TIMEOUT_S
        while open_ends:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(open_ends)} partitions could not be read to their end")
            for message in self._consumer.consume(BATCH, 0.1):
                record = self._record(message)
                if record is not None:
                    yield record
                elif message.error() is not None:
                    open_ends.discard((message.topic() or "", message.partition() or 0))

    def close(self) -> None:
        """Give the connection back."""
        self._consumer.close()

    def _record(self, message: Any) -> Record | None:
        error = message.error()
        if error is not None:
            if error.fatal():
                raise KafkaException(error)
            return None
        headers = {name: (value or b"").decode(errors="replace") for name, value in message.headers() or ()}
        prefix = self._settings.topic_prefix
        topic = str(message.topic()).removeprefix(prefix)
        if SOURCE_TOPIC in headers:
            headers[SOURCE_TOPIC] = headers[SOURCE_TOPIC].removeprefix(prefix)
        return Record(
            topic,
            message.partition(),
            message.offset(),
            message.value() or b"",
            headers,
            message.timestamp()[1],
        )


class Ends:
    """Counts the records of a topic by its ends, which holds for topics that no transaction writes to."""

    def __init__(self, settings: Settings, topics: Sequence[str]) -> None:
        self._consumer = Consumer(consumer_config(settings, "demo-ends"))
        self._partitions = _partitions(self._consumer, settings, topics)

    def count(self) -> int:
        """Records that the topics hold now."""
        ends = [self._consumer.get_watermark_offsets(part, METADATA_TIMEOUT_S) for part in self._partitions]
        return sum(high - low for low, high in ends)

    def close(self) -> None:
        """Give the connection back."""
        self._consumer.close()


def _partitions(consumer: Consumer, settings: Settings, topics: Sequence[str]) -> list[TopicPartition]:
    known = consumer.list_topics(timeout=METADATA_TIMEOUT_S).topics
    names = [settings.prefixed(topic) for topic in topics]
    return [
        TopicPartition(name, number, OFFSET_BEGINNING) for name in names for number in known[name].partitions
    ]


def read_afresh(settings: Settings, topics: Sequence[str]) -> dict[str, list[Record]]:
    """All committed records of some topics up to now, by topic, with a consumer that saw nothing before."""
    reader = Reader(settings, topics, "auditor", idle_fetch_ms=20)
    found: dict[str, list[Record]] = {topic: [] for topic in topics}
    try:
        for record in reader.to_the_end():
            found[record.topic].append(record)
    finally:
        reader.close()
    return found
