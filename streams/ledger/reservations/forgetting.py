"""Forgetting: claims go when their retention is over, reservations never.

A claim of an unknown promotion has a deadline of its own; the others go together, long after the close.
"""

from __future__ import annotations

from streams.ledger.effects import MAX_EFFECTS
from streams.ledger.reservations.state import CLAIMS, DEADLINES, RESERVATIONS, UNKNOWN, WAITING, WAKE
from streams.ledger.reservations.turn import ReservationTurn, Work
from streams.ledger.turn import Turn

MAX_FORGOTTEN = MAX_EFFECTS - 1


def forget_soon(turn: ReservationTurn) -> None:
    """Have the claims of a reservation that is closed deleted by a Continue."""
    turn.row.forget_at_ms = 0
    turn.go_on(Work.FORGET, turn.key + b"\0", turn.sku.encode())


def on_forget(turn: Turn, cursor: bytes) -> None:
    """Delete a reservation's claims from the claim's key `cursor` on; a Continue does what is left."""
    promotion_id, sku = cursor.split(b"\0", 2)[:2]
    end = promotion_id + b"\0" + sku + b"\x01"
    found = turn.rows.scan(CLAIMS, cursor, end, MAX_FORGOTTEN)
    for key, claim in found:
        if claim.reason != WAITING:
            turn.rows.delete(CLAIMS, key)
    if len(found) == MAX_FORGOTTEN:
        turn.go_on(Work.FORGET, found[-1][0] + b"\0", sku)


def forget_one(turn: ReservationTurn, claim: bytes) -> None:
    """Delete one claim of a promotion that is still unknown, and the placeholder with the last of them."""
    row, rows = turn.row, turn.rows
    decided = rows.get(CLAIMS, claim)
    if row.state is not UNKNOWN or decided is None or decided.reason == WAITING:
        return
    rows.delete(CLAIMS, claim)
    row.unknown_claims -= 1
    if row.unknown_claims or row.head != row.tail:
        turn.finish()
        return
    if row.wake_at_ms:
        DEADLINES.clear(rows, row.wake_at_ms, WAKE, turn.key)
    rows.delete(RESERVATIONS, turn.key)
