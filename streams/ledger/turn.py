"""A turn: one command while it is decided, the same in all three cores."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from streams.ledger.commands import Continue, Tick, encode
from streams.ledger.effects import Effects, Headers, Notice, Send
from streams.ledger.rows import Rows
from streams.ledger.watermark import raise_watermark, watermark_ms


class Turn(msgspec.Struct, gc=False):
    """What a command may change (`rows`) and cause (`effects`), and when it is decided (Unix ms).

    `log` is the topic from which the core reads its commands. Each core adds the subject in hand: one
    reservation, order or promotion. A msgspec struct, because every command makes one: that takes half the
    time of an ordinary object.
    """

    rows: Rows
    effects: Effects
    now_ms: int
    log: str

    @property
    def watermark_ms(self) -> int:
        """Everything that was placed up to then is known to be decided."""
        return watermark_ms(self.rows, self.log)

    def take_in(self, tick: Tick) -> None:
        """Remember a Tick's watermark."""
        raise_watermark(self.rows, self.log, tick.watermark_ms, self.now_ms)

    def send(self, topic: str, key: bytes, value: bytes, headers: Headers | None = None) -> None:
        """Send one record."""
        self.effects.sends.append(Send(topic, key, value, headers))

    def go_on(self, work: StrEnum, subject: bytes = b"", key: bytes | None = None) -> None:
        """Have the rest of some work done by a Continue, which comes back to the partition in hand.

        `work` and `subject` are for the core that reads it; `key` is the record's.
        """
        self.effects.sends.append(Send(self.log, key, encode(Continue(work, subject)), None, True))

    def notify(self, level: str, event: str, **fields: str | int) -> None:
        """Tell the person on call; `level` is "info", "warning" or "error"."""
        self.effects.notices.append(Notice(level, event, fields))
