"""What a worker writes beside its offsets of `fluent-requests`: one note for each of its tasks.

The metadata of a committed offset is a place that is there anyway: it needs no topic and no right of its own,
goes from owner to owner with the partition, and is written in the generation that owns it.
"""

from __future__ import annotations

import msgspec
from confluent_kafka import TopicPartition

from fluent.meters import BreakerState

END = "\0"
"""librdkafka 2.16 does not end a metadata string, and confluent-kafka reads it as far as to the next zero."""


class Note(msgspec.Struct, frozen=True, rename="camel"):
    """The worker, in its own words. `member` is who says it: a note of a former owner is of no use.

    Times are Unix ms. `at_ms` is by the brokers' time, None where the worker has not heard of that yet;
    `since_ms` is when it took the task over, None while it does so.
    """

    member: str
    since_ms: int | None
    at_ms: int | None
    breaker: BreakerState
    queued: int
    in_flight: int
    intake_stopped: bool = False

    def encode(self) -> str:
        """The metadata string: JSON that a person can read with Kafka's own tools."""
        return f"{_encode(self).decode()}{END}"


def note_in(at: TopicPartition) -> Note | None:
    """The note beside a committed offset, None where there is none that can be read."""
    try:
        found: Note = _decode((at.metadata or "").rstrip(END))
    except (UnicodeDecodeError, msgspec.DecodeError):
        return None
    return found


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Note).decode
