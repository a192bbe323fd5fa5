"""Reading the topics as an outsider would: committed records, while the sale lasts and afresh afterwards."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, Message

from rehearsal.demo.events import Identity
from schemas.headers import texts_of
from schemas.topics import (
    DEAD_LETTERS,
    ORDER_CANCELLED,
    ORDER_OUTCOMES,
    ORDER_PLACED,
    PROMOTION_RESULTS,
    RECONCILIATION_REPORTS,
)
from streams.kafka import consumer_config
from streams.reader import TIMEOUT_S, headers_of, read_to_end, reading, spans_of
from streams.settings import Settings

BATCH = 500
"""So few that a reader of a burst sees its first outcomes while others are still undecided."""

FOLLOWED = (ORDER_OUTCOMES, DEAD_LETTERS, PROMOTION_RESULTS, RECONCILIATION_REPORTS)
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


def identity_of(message: Mapping[str, Any]) -> Identity:
    """(order ref, promotion id) of an outcome."""
    return message["orderRef"], message["promotionId"]


def record_of(message: Message, prefix: str) -> Record:
    """A consumed message as a record, the prefix taken off the names of topics."""
    headers = texts_of(headers_of(message))
    if SOURCE_TOPIC in headers:
        headers[SOURCE_TOPIC] = headers[SOURCE_TOPIC].removeprefix(prefix)
    return Record(
        (message.topic() or "").removeprefix(prefix),
        message.partition() or 0,
        message.offset() or 0,
        message.value() or b"",
        headers,
        message.timestamp()[1],
    )


def read_afresh(settings: Settings, topics: Sequence[str]) -> dict[str, list[Record]]:
    """All committed records of some topics up to now, by topic, with a consumer that saw nothing before.

    Raises NoBrokerError when the broker falls silent, and KafkaException.
    """
    found: dict[str, list[Record]] = {topic: [] for topic in topics}
    for message in read_to_end(settings, *topics):
        record = record_of(message, settings.topic_prefix)
        found[record.topic].append(record)
    return found


class Follower:
    """Follows some topics from their beginning, on from where it stopped each time that it is asked."""

    def __init__(self, settings: Settings, *topics: str) -> None:
        self._prefix = settings.topic_prefix
        self._closing = ExitStack()
        self._reader = self._closing.enter_context(reading(settings, *topics))
        self._reader.seek(to_beginning=True)

    def new(self, wait_s: float) -> list[Record]:
        """What was committed since the last call, as far as it has arrived; waits up to `wait_s` for some."""
        return [record_of(message, self._prefix) for message in self._reader.poll(wait_s, BATCH)]

    def close(self) -> None:
        """Give the connection back."""
        self._closing.close()


class Ends:
    """Counts the records of topics by their ends, which holds where no transaction writes to them."""

    def __init__(self, settings: Settings, *topics: str) -> None:
        self._consumer = Consumer(consumer_config(settings, "demo-ends"))
        spans = spans_of(self._consumer, map(settings.prefixed, topics))
        self._partitions = [span.at(span.begin) for span in spans]

    def count(self) -> int:
        """Records that the topics hold now."""
        ends = [self._consumer.get_watermark_offsets(part, TIMEOUT_S) for part in self._partitions]
        return sum(high - low for low, high in ends)

    def close(self) -> None:
        """Give the connection back."""
        self._consumer.close()


@dataclass
class Tally:
    """Figures for people who watch; the proof does not use them."""

    sent: int = 0
    decided: int = 0
    accepted: int = 0
    partly: int = 0
    refused: int = 0
    cancels: int = 0
    booked: int = 0

    @property
    def sentence(self) -> str:
        """The figures in words."""
        return (
            f"{self.decided:,} of {self.sent:,} orders decided: {self.accepted:,} whole, "
            f"{self.partly:,} in part, {self.refused:,} refused; {self.cancels:,} cancels; "
            f"{self.booked:,} booked in Fluent"
        )


class Watch:
    """Counts what has been committed so far, to know when the sale is over. Not safe in several threads."""

    def __init__(self, settings: Settings) -> None:
        self._output = Follower(settings, *FOLLOWED)
        self._placed = Ends(settings, ORDER_PLACED)
        self._sent = Ends(settings, ORDER_PLACED, ORDER_CANCELLED)
        self.tally = Tally()
        self.outcomes = 0
        self.dead_letters = 0
        self.started: set[str] = set()
        self.final: set[str] = set()
        self._decided: set[Identity] = set()
        self._refused: list[Record] = []

    def look(self, wait_s: float = 0.05) -> None:
        """Take in what has come since."""
        for record in self._output.new(wait_s):
            if record.topic == ORDER_OUTCOMES:
                self._count(record)
            elif record.topic == DEAD_LETTERS:
                self.dead_letters += 1
                self._refused.append(record)
            elif record.topic == PROMOTION_RESULTS:
                self.started.add(record.json["promotionId"])
            elif record.json["kind"] == "FINAL":
                self.final.add(record.json["promotionId"])

    def placed(self) -> int:
        """Records in `order-placed` now, by the topic's ends."""
        return self._placed.count()

    def unanswered(self) -> int:
        """Input records that no outcome or dead letter has answered yet."""
        return self._sent.count() - self.outcomes - self.dead_letters

    @property
    def decided(self) -> int:
        """Different orders with a decision."""
        return len(self._decided)

    @property
    def first_refusal(self) -> str | None:
        """Why the first dead letter is one."""
        return self._refused[0].headers.get("error") if self._refused else None

    def close(self) -> None:
        """Give the connections back."""
        for each in (self._output, self._placed, self._sent):
            each.close()

    def _count(self, record: Record) -> None:
        self.outcomes += 1
        outcome, tally = record.json, self.tally
        if outcome["revision"] > 1 or "reason" in outcome:
            tally.cancels += 1
        elif identity_of(outcome) not in self._decided:
            self._decided.add(identity_of(outcome))
            tally.decided += 1
            tally.accepted += outcome["outcome"] == "ACCEPTED"
            tally.partly += outcome["outcome"] == "PARTIAL"
            tally.refused += outcome["outcome"] == "REJECTED"
