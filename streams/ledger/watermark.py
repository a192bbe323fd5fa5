"""The watermark of a log: everything that was placed up to then is known to be decided.

It comes with a Tick and is kept in a row of the core whose log that is. What tells a customer "too late" or
"unknown" waits for it and not for the clock, so that nothing which still waits in a backlog is told so.
"""

from __future__ import annotations

import msgspec

from streams.ledger.rows import Rows, Table


class Watermark(msgspec.Struct, array_like=True):
    """The newest watermark that a log has shown (Unix ms)."""

    at_ms: int


WATERMARKS = Table(b"!w", Watermark, hot=True)


def watermark_ms(rows: Rows, log: str) -> int:
    """The watermark of the log with that topic (0: nothing is known yet)."""
    row = rows.get(WATERMARKS, log.encode())
    return 0 if row is None else row.at_ms


def raise_watermark(rows: Rows, log: str, at_ms: int, now_ms: int) -> None:
    """Take in what a Tick at broker time `now_ms` says. A watermark never goes back and is never ahead."""
    at_ms = min(at_ms, now_ms)
    if at_ms > watermark_ms(rows, log):
        rows.put(WATERMARKS, log.encode(), Watermark(at_ms))
