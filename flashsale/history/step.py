"""A step of a history, and how far back the logs went that it was read from."""

from __future__ import annotations

from dataclasses import dataclass

from confluent_kafka import Message

from streams.reader import Span


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened, at the record `topic`/`partition`/`offset` (the topic's logical name).

    `text` says it in plain words. `left` is how many units of `sku` could still be sold afterwards; None
    where none are set aside, and for steps that are not about a SKU.
    """

    at_ms: int
    topic: str
    partition: int
    offset: int
    kind: str
    text: str
    sku: str | None = None
    order_ref: str | None = None
    units: int | None = None
    reason: str | None = None
    left: int | None = None


@dataclass(slots=True)
class Searched:
    """A partition that was read. `began_at_ms` is the time of its oldest record, None where it held none."""

    topic: str
    partition: int
    begin: int
    began_at_ms: int | None = None

    @classmethod
    def of(cls, topic: str, span: Span) -> Searched:
        """The partition of a span, whose topic's logical name is `topic`."""
        return cls(topic, span.partition, span.begin)

    @property
    def whole(self) -> bool:
        """Whether nothing of the log was deleted before."""
        return self.begin == 0

    def saw(self, message: Message) -> None:
        """Note the time of the oldest record."""
        if self.began_at_ms is None:
            self.began_at_ms = message.timestamp()[1]
