"""The shell of a decision stage: decode each record of a batch, call the pure core, in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from agents.dead_letters import undecodable
from streams.engine.stage import Record, remember_seen_ms, seen_ms
from streams.ledger.effects import Effects
from streams.ledger.rows import Rows

Decode = Callable[[bytes, bytes | None], Any]
Decide = Callable[[Rows, Any, int, Effects], None]


@dataclass(frozen=True, slots=True)
class CommandStage:
    """One of the three stages of a task.

    `decode(value, envelope)` gets the bytes of the envelope header for an input event, None for a command.
    """

    topic: str
    wire_topic: str
    decode: Decode
    core: Decide
    earliest: Callable[[Rows], int | None]

    def decide(self, partition: int, records: Sequence[Record], rows: Rows, effects: Effects) -> None:
        """Decide the records in order. What is not a command becomes a dead letter, its neighbours do not."""
        decode, core = self.decode, self.core
        now_ms = seen_ms(rows, self.topic)
        for record in records:
            if record.timestamp > now_ms:
                now_ms = record.timestamp
            headers = record.headers
            try:
                command = decode(record.value or b"", headers[0][1] if headers else None)
            except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
                undecodable(self.wire_topic, partition, record, str(error), now_ms, effects)
                continue
            core(rows, command, now_ms, effects)
        remember_seen_ms(rows, self.topic, now_ms)

    def earliest_deadline_ms(self, rows: Rows) -> int | None:
        """When this stage needs its next Tick."""
        return self.earliest(rows)
