"""Claims that wait: for a Reserve, for Fluent's hold, or behind others that still do.

They are decided first come, first served. No command decides more than `MAX_CLAIMS` of them: Continues go on,
and while they are under way new claims queue behind, each of which pays for two at the head.
"""

from __future__ import annotations

from streams.ledger.commands import Claim
from streams.ledger.effects import MAX_EFFECTS
from streams.ledger.reservations.decision import reason_for, record_decision
from streams.ledger.reservations.figures import publish_soon
from streams.ledger.reservations.publishing import publish_decision, tell_line, tell_recalled
from streams.ledger.reservations.state import (
    BY_WATERMARK,
    CANCELLED,
    CLAIMS,
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
forget it. Some effects are left for the command that caused the decisions."""

MAX_CONTINUES = 8
"""So many Continues at once decide a long queue: a batch decides thousands of claims, not hundreds."""

PER_ARRIVAL = 2
"""A claim that joins a queue has this many decided at its head, so that a queue shrinks while claims come."""


def wait(turn: ReservationTurn, command: Claim) -> None:
    """Let a claim wait behind those that came before it."""
    row = turn.row
    row.kept_ms = max(row.kept_ms, command.retention_ms)
    due_at_ms = turn.now_ms + command.grace_ms
    if row.state is UNKNOWN:
        row.unknown_claims += 1
        if not row.no_reservation_at_ms:
            row.no_reservation_at_ms = due_at_ms
    claim = ClaimRow(command.quantity, WAITING, seq=row.tail)
    waiter = WaitingRow(
        command.order_ref,
        command.quantity,
        command.placed_at_ms,
        due_at_ms,
        command.retention_ms,
        withheld=command.withheld,
    )
    waiter.owe(command.source, command.quantity)
    turn.rows.put(CLAIMS, claim_key(turn.key, command.order_ref), claim)
    turn.rows.put(WAITERS, waiter_key(turn.key, row.tail), waiter)
    row.tail += 1
    if row.draining:
        _drain(turn, PER_ARRIVAL)
    turn.finish()


def drain(turn: ReservationTurn) -> None:
    """Decide waiting claims as far as they can be decided now; Continues go on where some are left."""
    if _drain(turn, MAX_CLAIMS):
        drain_soon(turn)


def drain_soon(turn: ReservationTurn) -> None:
    """Have the waiting claims decided by as many Continues as they need, at most MAX_CONTINUES at a time."""
    row = turn.row
    needed = -(-(row.tail - row.head) // MAX_CLAIMS)
    while row.draining < min(needed, MAX_CONTINUES):
        row.draining += 1
        turn.go_on(Work.DRAIN, turn.key, turn.sku.encode())


def _drain(turn: ReservationTurn, most: int) -> bool:
    """Decide up to `most` waiting claims; whether others wait that may be decided now, too."""
    row = turn.row
    stop = min(row.tail, row.head + most)
    while row.head < stop:
        waiter = turn.rows.get(WAITERS, waiter_key(turn.key, row.head))
        if waiter is not None and not _decide(turn, waiter):
            if row.state is UNKNOWN:
                row.no_reservation_at_ms = waiter.due_at_ms
            return False
        row.head += 1
    return row.head < row.tail


def withdraw(turn: ReservationTurn, claim: ClaimRow) -> None:
    """Answer a waiting claim that its order cancels: CANCELLED, whatever part was to be cancelled.

    The orders stage never cancels a line that is not decided; should it happen, nothing was taken.
    """
    waiter = turn.rows.get(WAITERS, waiter_key(turn.key, claim.seq))
    if waiter is not None:
        _answer(turn, claim.seq, waiter, CANCELLED)


def _decide(turn: ReservationTurn, waiter: WaitingRow) -> bool:
    """Decide the claim at the head of the queue; False when it has to wait longer."""
    row, units = turn.row, waiter.quantity - waiter.withheld
    reason = reason_for(row, units, waiter.placed_at_ms)
    if reason == WAITING:
        if row.state is not UNKNOWN or turn.watermark_ms < waiter.due_at_ms:
            return False
        reason = NO_RESERVATION
    ripe_at_ms = record_decision(row, units, reason, turn.now_ms)
    publish_soon(turn)
    _answer(turn, row.head, waiter, reason, ripe_at_ms)
    return True


def _answer(turn: ReservationTurn, seq: int, waiter: WaitingRow, reason: str, ripe_at_ms: int = 0) -> None:
    key = claim_key(turn.key, waiter.order_ref)
    claim = ClaimRow(waiter.quantity, reason, turn.now_ms, waiter.withheld, 0, ripe_at_ms)
    turn.rows.put(CLAIMS, key, claim)
    turn.rows.delete(WAITERS, waiter_key(turn.key, seq))
    if turn.row.state is UNKNOWN:
        BY_WATERMARK.set(turn.rows, turn.now_ms + waiter.retention_ms, FORGET, key)
    turn.effects.count(reason)
    for event, asked in waiter.events:
        publish_decision(turn, waiter.order_ref, claim, event, asked)
    if waiter.line_wanted:
        # An event that is owed the outcome was an order of this line alone, which is forgotten meanwhile.
        tell_line(turn, waiter.order_ref, claim, again=bool(waiter.events))
    if waiter.recalled:
        tell_recalled(turn, waiter.order_ref, claim)
