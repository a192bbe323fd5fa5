"""What a worker writes beside its offsets of `fluent-requests`: one note for each of its tasks.

The metadata of a committed offset is a place that is there anyway: it needs no topic and no right of its own,
goes from owner to owner with the partition, and is written in the generation that owns it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from confluent_kafka import TopicPartition

from fluent.meters import BreakerState
from schemas.status import Count
from schemas.times import LAST_MS
from schemas.unreadable import UNREADABLE

END = "\0"
"""librdkafka 2.16 does not end a metadata string, and confluent-kafka reads it as far as to the next zero."""

Moment = Annotated[int, msgspec.Meta(ge=0, le=LAST_MS)]
"""Unix ms that can be shown."""


class Note(msgspec.Struct, frozen=True, rename="camel"):
    """The worker, in its own words. `member` is who says it: a note of a former owner is of no use.

    Times are Unix ms. `at_ms` is by the brokers' time, None where the worker has not heard of that lately;
    `since_ms` is when it took the task over, None while it does so.
    """

    member: str
    since_ms: Moment | None
    at_ms: Moment | None
    breaker: BreakerState
    queued: Count
    in_flight: Count
    intake_stopped: bool = False

    def encode(self) -> str:
        """The metadata string: JSON that a person can read with Kafka's own tools."""
        return f"{_encode(self).decode()}{END}"


def note_in(at: TopicPartition) -> Note | None:
    """The note beside a committed offset, None where there is none that can be read."""
    try:
        found: Note = _decode((at.metadata or "").rstrip(END))
    except UNREADABLE:
        return None
    return found


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Note).decode
