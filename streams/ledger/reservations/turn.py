"""A command's turn at one reservation: its row in hand, and the row's two deadlines, one by each clock."""

from __future__ import annotations

from enum import StrEnum

from schemas.topics import SKU_COMMANDS
from streams.ledger.commands import reservation_key
from streams.ledger.effects import Effects
from streams.ledger.reservations.attendance import hold_is_over, watch_hold, watch_units
from streams.ledger.reservations.state import (
    BY_CLOCK,
    BY_WATERMARK,
    RESERVATIONS,
    WAKE,
    Reservation,
    next_mark_ms,
    next_wake_ms,
)
from streams.ledger.rows import Rows
from streams.ledger.turn import Turn


class Work(StrEnum):
    """What a Continue of this core goes on with."""

    DUE = "due"
    """Further deadlines; `subject` is as long as the number of rounds so far."""
    DRAIN = "drain"
    """Deciding the waiting claims of the reservation in `subject`."""
    FORGET = "forget"
    """Deleting a reservation's claims, from the claim's key in `subject` on."""
    ROUND = "round"
    """Asking to verify open reservations: `subject` is the round's number and the key from which on."""


class ReservationTurn(Turn, gc=False):
    """Changes to one reservation: begun by `take`, written by `finish`."""

    promotion_id: str
    sku: str
    key: bytes
    row: Reservation

    def finish(self) -> None:
        """Write the row and set its deadlines to the earliest of its times."""
        arm(self.rows, self.key, self.row, self.now_ms)
        self.rows.put(RESERVATIONS, self.key, self.row)

    def notify(self, level: str, event: str, **fields: str | int) -> None:
        """Tell the person on call about this reservation."""
        super().notify(level, event, promotion=self.promotion_id, sku=self.sku, **fields)


def take(rows: Rows, effects: Effects, now_ms: int, promotion_id: str, sku: str) -> ReservationTurn:
    """The turn of a command about this reservation, which is UNKNOWN where there is none yet."""
    key = reservation_key(promotion_id, sku)
    row = rows.get(RESERVATIONS, key) or Reservation()
    return ReservationTurn(rows, effects, now_ms, SKU_COMMANDS, promotion_id, sku, key, row)


def take_by_key(turn: Turn, key: bytes) -> ReservationTurn:
    """The same, for the reservation whose key, or whose claim's key, this is."""
    promotion_id, sku = key.decode().split("\0", 2)[:2]
    return take(turn.rows, turn.effects, turn.now_ms, promotion_id, sku)


def arm(rows: Rows, key: bytes, row: Reservation, now_ms: int) -> None:
    """Keep exactly one deadline row for each clock: at the earliest of the reservation's times."""
    if row.settle_at_ms and row.settle_delay_ms:
        watch_units(rows, now_ms, row.settle_at_ms)
    if row.hold_watched != (row.hold_overdue_at_ms > 0):
        row.hold_watched = not row.hold_watched
        if row.hold_watched:
            watch_hold(rows, now_ms)
        else:
            hold_is_over(rows)
    wake_at_ms = next_wake_ms(row)
    if wake_at_ms != row.wake_at_ms:
        BY_CLOCK.move(rows, row.wake_at_ms, wake_at_ms, WAKE, key)
        row.wake_at_ms = wake_at_ms
    mark_at_ms = next_mark_ms(row)
    if mark_at_ms != row.mark_at_ms:
        BY_WATERMARK.move(rows, row.mark_at_ms, mark_at_ms, WAKE, key)
        row.mark_at_ms = mark_at_ms
