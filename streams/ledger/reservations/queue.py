"""Claims that wait: for a Reserve, for Fluent's hold, or behind others that still do.

They are decided first come, first served. No command decides more than `MAX_CLAIMS` of them: a Continue
goes on, and while it is under way new claims queue behind.
"""

from __future__ import annotations

from streams.ledger.effects import MAX_EFFECTS
from streams.ledger.reservations.claims import reason_for, record_decision
from streams.ledger.reservations.publishing import publish_decision, tell_line, tell_recalled
from streams.ledger.reservations.state import (
    CANCELLED,
    CLAIMS,
    DEADLINES,
    FORGET,
    NO_RESERVATION,
    UNKNOWN,
    WAITERS,
    WAITING,
    ClaimRow,
    WaitingRow,
    claim_key,
    waiter_key,
)
from streams.ledger.reservations.turn import ReservationTurn, Work

MAX_CLAIMS = MAX_EFFECTS // 5 - 10
"""A waiting claim's decision is five effects: the answer, one more if it was recalled, two rows, and when to
forget it.
Some effects are left for the command that caused the decisions."""


def drain(turn: ReservationTurn) -> None:
    """Decide waiting claims as far as they can be decided now; a Continue goes on where some are left."""
    row = turn.row
    stop = min(row.tail, row.head + MAX_CLAIMS)
    while row.head < stop:
        waiter = turn.rows.get(WAITERS, waiter_key(turn.key, row.head))
        if waiter is not None and not _decide(turn, waiter):
            if row.state is UNKNOWN:
                row.no_reservation_at_ms = waiter.due_at_ms
            return
        row.head += 1
    if row.head < row.tail:
        drain_soon(turn)


def drain_soon(turn: ReservationTurn) -> None:
    """Have the waiting claims decided by a Continue, unless there is none or one is under way."""
    row = turn.row
    if row.head == row.tail or row.draining:
        return
    row.draining = True
    turn.go_on(Work.DRAIN, turn.key, turn.sku.encode())


def on_drain(turn: ReservationTurn) -> None:
    """The Continue of `drain_soon` has come."""
    turn.row.draining = False
    drain(turn)


def withdraw(turn: ReservationTurn, claim: ClaimRow) -> None:
    """Answer a waiting claim that its order cancels: CANCELLED, whatever part was to be cancelled.

    The orders stage never cancels a line that is not decided; should it happen, nothing was taken.
    """
    waiter = turn.rows.get(WAITERS, waiter_key(turn.key, claim.seq))
    if waiter is not None:
        _answer(turn, claim.seq, waiter, CANCELLED)


def _decide(turn: ReservationTurn, waiter: WaitingRow) -> bool:
    """Decide the claim at the head of the queue; False when it has to wait longer."""
    row = turn.row
    reason = reason_for(row, waiter.quantity, waiter.placed_at_ms)
    if reason == WAITING:
        if row.state is not UNKNOWN or turn.now_ms < waiter.due_at_ms:
            return False
        reason = NO_RESERVATION
    ripe_at_ms = record_decision(row, waiter.quantity, reason, turn.now_ms)
    _answer(turn, row.head, waiter, reason, ripe_at_ms)
    return True


def _answer(turn: ReservationTurn, seq: int, waiter: WaitingRow, reason: str, ripe_at_ms: int = 0) -> None:
    key = claim_key(turn.key, waiter.order_ref)
    claim = ClaimRow(waiter.quantity, reason, turn.now_ms, 0, 0, ripe_at_ms)
    turn.rows.put(CLAIMS, key, claim)
    turn.rows.delete(WAITERS, waiter_key(turn.key, seq))
    if turn.row.state is UNKNOWN:
        DEADLINES.set(turn.rows, turn.now_ms + waiter.retention_ms, FORGET, key)
    turn.effects.count(reason)
    subject = turn.promotion_id, turn.sku, waiter.order_ref
    for event, asked in waiter.events:
        publish_decision(turn.effects, *subject, claim, event, asked)
    if waiter.line_wanted:
        tell_line(turn.effects, *subject, claim)
    if waiter.recalled:
        tell_recalled(turn.effects, *subject, claim)
