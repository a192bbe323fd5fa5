"""Dead letters: what can not be decided goes to `dead-letters` with its key and bytes unchanged.

Poison never stops a partition and never disturbs its neighbours.
"""

from __future__ import annotations

from schemas.reasons import Reason
from streams.engine.stage import Record
from streams.ledger.effects import Effects, Notice
from streams.ledger.terms import Source


def source_of(topic: str, partition: int, record: Record) -> Source:
    """Where a record stands, with its own key."""
    return Source(topic, partition, record.offset, record.key)


def undecodable(
    topic: str, partition: int, record: Record, error: str, now_ms: int, effects: Effects
) -> None:
    """A record that is no event and no command."""
    reject(source_of(topic, partition, record), record.value, error, now_ms, effects)


def reject(source: Source, value: bytes | None, error: str, now_ms: int, effects: Effects) -> None:
    """An INVALID message: one dead letter, one line in the log."""
    effects.dead_letter(source, value, Reason.INVALID, error, now_ms)
    effects.count(Reason.INVALID.value)
    place: dict[str, str | int] = {"partition": source.partition, "offset": source.offset}
    effects.notices.append(Notice("warning", "dead letter", {"topic": source.topic, **place, "error": error}))
