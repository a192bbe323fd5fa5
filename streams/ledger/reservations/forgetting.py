"""Forgetting: claims go when their retention is over, reservations never.

Claims go together, long after the close. Others have a deadline of their own: those of an unknown promotion,
and those that were decided or gave units back after the close, because their order is remembered longer.
"""

from __future__ import annotations

from streams.ledger.effects import MAX_EFFECTS
from streams.ledger.reservations.state import (
    BY_WATERMARK,
    CLAIMS,
    CLOSED_STATES,
    FORGET,
    RESERVATIONS,
    UNKNOWN,
    WAITING,
    ClaimRow,
)
from streams.ledger.reservations.turn import ReservationTurn, Work, take_by_key
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
    kept_ms = take_by_key(turn, cursor).row.kept_ms
    for key, claim in found:
        _forget(turn, key, claim, kept_ms)
    if len(found) == MAX_FORGOTTEN:
        turn.go_on(Work.FORGET, found[-1][0] + b"\0", sku)


def forget_one(turn: ReservationTurn, claim: bytes) -> None:
    """A claim's own deadline has come. The placeholder of an unknown promotion goes with its last claim."""
    row, rows = turn.row, turn.rows
    decided = rows.get(CLAIMS, claim)
    if decided is None:
        return
    if row.state is not UNKNOWN and row.state not in CLOSED_STATES:
        return  # the close sees to it, as to the sale's other claims
    _forget(turn, claim, decided, row.kept_ms)
    if row.state is not UNKNOWN or rows.get(CLAIMS, claim) is not None:
        return
    row.unknown_claims -= 1
    if row.unknown_claims:
        turn.finish()
    else:
        rows.delete(RESERVATIONS, turn.key)


def _forget(turn: Turn, key: bytes, claim: ClaimRow, kept_ms: int) -> None:
    """Delete a claim, or give it a deadline of its own: it was decided, or gave units back, not long ago."""
    if claim.reason == WAITING:
        return
    until_ms = max(claim.decided_at_ms, claim.order_changed_at_ms) + kept_ms
    if until_ms > turn.watermark_ms:
        BY_WATERMARK.set(turn.rows, until_ms, FORGET, key)
    else:
        turn.rows.delete(CLAIMS, key)
