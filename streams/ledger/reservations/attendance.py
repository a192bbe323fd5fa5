"""Since when the partition is attended: its log is decided, and that is committed, as it is written.

The log's time goes on while nobody decides it, and while what is decided cannot be committed. Two times have
to pass outside, though: the settle delay, in which the shop books what it has read in an outcome, and the
hold time-out, in which Fluent answers what it was asked. Both count only while the partition is attended.

A Tick shows it by how much of the log was decided and committed when it was sent. While one of the two times
runs, a heartbeat is among the deadlines, so that there is a Tick each second.
"""

from __future__ import annotations

import msgspec

from streams.ledger.commands import Tick
from streams.ledger.reservations.state import BY_CLOCK, HEARTBEAT
from streams.ledger.rows import Rows, Table
from streams.ledger.turn import Turn

BEAT_MS = 1_000

LATE_MS = 3_000
"""A log of which less than that waits is attended. The two times are as exact as this, and no more."""


class Attendance(msgspec.Struct, array_like=True, gc=False):
    """When the partition was last seen unattended, what there is to watch it for, and the next heartbeat."""

    since_ms: int = 0
    until_ms: int = 0
    """Until then units are younger than their settle delay."""
    beat_at_ms: int = 0
    holds: int = 0
    """So many holds are asked for, and neither answered nor overdue."""


ATTENDANCE: Table[Attendance] = Table(b"RT", Attendance, hot=True)


def attended_since_ms(rows: Rows) -> int:
    """What was decided before may have been committed only then."""
    found = rows.get(ATTENDANCE, b"")
    return 0 if found is None else found.since_ms


def watch_units(rows: Rows, now_ms: int, until_ms: int) -> None:
    """Have a Tick each second until then: the settle delay of some units runs."""
    found = rows.get(ATTENDANCE, b"") or Attendance()
    if until_ms > found.until_ms:
        found.until_ms = until_ms
        _watch(rows, found, now_ms)


def watch_hold(rows: Rows, now_ms: int) -> None:
    """Have a Tick each second until `hold_is_over`: Fluent is asked for a hold."""
    found = rows.get(ATTENDANCE, b"") or Attendance()
    found.holds += 1
    _watch(rows, found, now_ms)


def hold_is_over(rows: Rows) -> None:
    """A hold for which the partition was watched is answered, overdue, or not wanted any more."""
    found = rows.get(ATTENDANCE, b"") or Attendance()
    found.holds -= 1
    rows.put(ATTENDANCE, b"", found)


def look(turn: Turn, tick: Tick) -> None:
    """See from a Tick whether what stands before it in the log has waited, where that is watched."""
    found = turn.rows.get(ATTENDANCE, b"")
    if found is not None and found.beat_at_ms and turn.now_ms - tick.decided_ms > LATE_MS:
        found.since_ms = turn.now_ms
        turn.rows.put(ATTENDANCE, b"", found)


def beat(turn: Turn) -> None:
    """A heartbeat is due. One that comes late shows that nobody was there to send it."""
    found = turn.rows.get(ATTENDANCE, b"") or Attendance()
    if turn.now_ms - found.beat_at_ms > LATE_MS:
        found.since_ms = turn.now_ms
    found.beat_at_ms = 0
    if found.holds or turn.now_ms < found.until_ms:
        _beat_later(turn.rows, found, turn.now_ms)
    turn.rows.put(ATTENDANCE, b"", found)


def _watch(rows: Rows, attendance: Attendance, now_ms: int) -> None:
    if not attendance.beat_at_ms:
        _beat_later(rows, attendance, now_ms)
    rows.put(ATTENDANCE, b"", attendance)


def _beat_later(rows: Rows, attendance: Attendance, now_ms: int) -> None:
    attendance.beat_at_ms = now_ms + BEAT_MS
    BY_CLOCK.set(rows, attendance.beat_at_ms, HEARTBEAT, b"")
