"""Claims that wait: for a Reserve, for Fluent's hold, or behind others that still do.

They are decided first come, first served. No command decides more than `MAX_CLAIMS` of them: a Continue
goes on, and while it is under way new claims queue behind.
"""

from __future__ import annotations

from schemas.topics import SKU_COMMANDS
from streams.ledger.commands import Claim, Continue
from streams.ledger.commands import encode as encode_command
from streams.ledger.effects import MAX_EFFECTS
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
from streams.ledger.reservations.turn import Turn, line_decided
from streams.ledger.reservations.verdict import reason_for, record_verdict

MAX_CLAIMS = MAX_EFFECTS // 4 - 10
"""A waiting claim's decision is at most four effects: the answer, two rows, and when to forget it.
The rest is for what caused the decisions."""

DRAIN = "drain"
"""Kind of the Continue that decides waiting claims of the reservation in `subject`."""


def enqueue(turn: Turn, command: Claim) -> None:
    """Let a claim wait behind those that came before it."""
    row = turn.row
    due_at_ms = turn.now_ms + command.grace_ms
    if row.state == UNKNOWN:
        row.unknown_claims += 1
        if not row.no_reservation_at_ms:
            row.no_reservation_at_ms = due_at_ms
    claim = ClaimRow(command.quantity, WAITING, seq=row.tail)
    waiter = WaitingRow(
        command.order_ref, command.quantity, command.placed_at_ms, due_at_ms, command.retention_ms
    )
    turn.rows.put(CLAIMS, claim_key(turn.key, command.order_ref), claim)
    turn.rows.put(WAITERS, waiter_key(turn.key, row.tail), waiter)
    row.tail += 1
    turn.finish()


def drain(turn: Turn) -> None:
    """Decide waiting claims as far as they can be decided now; a Continue goes on where some are left."""
    row = turn.row
    stop = min(row.tail, row.head + MAX_CLAIMS)
    while row.head < stop:
        waiter = turn.rows.get(WAITERS, waiter_key(turn.key, row.head))
        if waiter is not None and not _decide(turn, waiter):
            if row.state == UNKNOWN:
                row.no_reservation_at_ms = waiter.due_at_ms
            return
        row.head += 1
    if row.head < row.tail:
        drain_soon(turn)


def drain_soon(turn: Turn) -> None:
    """Have the waiting claims decided by a Continue, unless there is none or one is under way."""
    row = turn.row
    if row.head == row.tail or row.draining:
        return
    row.draining = True
    turn.send(SKU_COMMANDS, turn.sku.encode(), encode_command(Continue(DRAIN, turn.key)), own=True)


def on_drain(turn: Turn) -> None:
    """The Continue of `drain_soon` has come."""
    turn.row.draining = False
    drain(turn)


def withdraw(turn: Turn, claim: ClaimRow) -> None:
    """Answer a waiting claim that its order cancels: CANCELLED, whatever part was to be cancelled.

    The orders stage never cancels a line that is not decided; should it happen, nothing was taken.
    """
    waiter = turn.rows.get(WAITERS, waiter_key(turn.key, claim.seq))
    if waiter is not None:
        _answer(turn, claim.seq, waiter, CANCELLED)


def _decide(turn: Turn, waiter: WaitingRow) -> bool:
    """Decide the claim at the head of the queue; False when it has to wait longer."""
    row = turn.row
    reason = reason_for(row, waiter.quantity, waiter.placed_at_ms)
    if reason == WAITING:
        if row.state != UNKNOWN or turn.now_ms < waiter.due_at_ms:
            return False
        reason = NO_RESERVATION
    ripe_at_ms = record_verdict(row, waiter.quantity, reason, turn.now_ms)
    _answer(turn, row.head, waiter, reason, ripe_at_ms)
    return True


def _answer(turn: Turn, seq: int, waiter: WaitingRow, reason: str, ripe_at_ms: int = 0) -> None:
    key = claim_key(turn.key, waiter.order_ref)
    turn.rows.put(CLAIMS, key, ClaimRow(waiter.quantity, reason, 0, ripe_at_ms))
    turn.rows.delete(WAITERS, waiter_key(turn.key, seq))
    if turn.row.state == UNKNOWN:
        DEADLINES.set(turn.rows, turn.now_ms + waiter.retention_ms, FORGET, key)
    answer = line_decided(turn.promotion_id, waiter.order_ref, turn.sku, waiter.quantity, reason)
    turn.effects.sends.append(answer)
    turn.effects.count(reason)
