"""Claims: an order's line takes units of a reservation, whole or not at all.

`on_claim` is the hot path of the whole system, which is why it spells out what elsewhere is a helper.
"""

from __future__ import annotations

from streams.ledger.commands import Claim, Recall, reservation_key
from streams.ledger.reservations.publishing import publish_decision, tell_line, tell_recalled
from streams.ledger.reservations.settling import ripen_later
from streams.ledger.reservations.state import (
    ACTIVE,
    CLAIMS,
    CLOSED_STATES,
    EXHAUSTED,
    EXPIRED,
    FLUENT_UNAVAILABLE,
    INVALID,
    NO_RESERVATION,
    PENDING,
    REJECTED,
    RESERVATIONS,
    TAKEN,
    UNKNOWN,
    WAITERS,
    WAITING,
    ClaimRow,
    Reservation,
    WaitingRow,
    claim_key,
    waiter_key,
)
from streams.ledger.reservations.turn import ReservationTurn, arm_sooner
from streams.ledger.turn import Turn


def on_claim(turn: Turn, command: Claim) -> None:
    """Decide a claim, or let it wait; a repeat is answered from the row with the same bytes.

    A repeat comes from an order that the orders stage has forgotten: the answer is what it still holds.
    """
    rows, effects = turn.rows, turn.effects
    promotion_id, sku, order_ref = command.promotion_id, command.sku, command.order_ref
    quantity = command.quantity
    key = reservation_key(promotion_id, sku)
    own_key = claim_key(key, order_ref)
    claim = rows.get(CLAIMS, own_key)
    if claim is not None:
        _repeat(turn, command, claim)
        return
    row = rows.get(RESERVATIONS, key) or Reservation()
    reason = reason_for(row, quantity, command.placed_at_ms) if row.head == row.tail else WAITING
    if reason == WAITING:
        _wait(ReservationTurn(rows, effects, turn.now_ms, turn.log, promotion_id, sku, key, row), command)
        return
    ripe_at_ms = record_decision(row, quantity, reason, turn.now_ms)
    claim = ClaimRow(quantity, reason, turn.now_ms, 0, 0, ripe_at_ms)
    rows.put(CLAIMS, own_key, claim)
    arm_sooner(rows, key, row)
    rows.put(RESERVATIONS, key, row)
    effects.count(reason)
    if command.source is None:
        tell_line(effects, promotion_id, sku, order_ref, claim)
    else:
        publish_decision(effects, promotion_id, sku, order_ref, claim, command.source, quantity)


def on_recall(turn: Turn, command: Recall) -> None:
    """Answer from the claim's record, or see to it that the answer follows the decision."""
    subject = command.promotion_id, command.sku, command.order_ref
    key = reservation_key(command.promotion_id, command.sku)
    claim = turn.rows.get(CLAIMS, claim_key(key, command.order_ref))
    if claim is None:
        tell_recalled(turn.effects, *subject, ClaimRow(0, ""))
    elif claim.reason != WAITING:
        tell_recalled(turn.effects, *subject, claim)
    else:
        waiter = turn.rows.get(WAITERS, waiter_key(key, claim.seq))
        if waiter is not None:
            waiter.recalled = True
            turn.rows.put(WAITERS, waiter_key(key, claim.seq), waiter)


def _repeat(turn: Turn, command: Claim, claim: ClaimRow) -> None:
    subject = command.promotion_id, command.sku, command.order_ref
    if claim.reason == WAITING:
        key = waiter_key(reservation_key(command.promotion_id, command.sku), claim.seq)
        waiter = turn.rows.get(WAITERS, key)
        if waiter is not None:
            _owe(waiter, command)
            turn.rows.put(WAITERS, key, waiter)
    elif command.source is None:
        tell_line(turn.effects, *subject, claim)
    else:
        publish_decision(turn.effects, *subject, claim, command.source, command.quantity)


def _owe(waiter: WaitingRow, command: Claim) -> None:
    """Note who is to be answered when the claim is decided."""
    if command.source is None:
        waiter.line_wanted = True
    else:
        waiter.events.append((command.source, command.quantity))


def _wait(turn: ReservationTurn, command: Claim) -> None:
    """Let a claim wait behind those that came before it."""
    row = turn.row
    due_at_ms = turn.now_ms + command.grace_ms
    if row.state is UNKNOWN:
        row.unknown_claims += 1
        if not row.no_reservation_at_ms:
            row.no_reservation_at_ms = due_at_ms
    claim = ClaimRow(command.quantity, WAITING, seq=row.tail)
    waiter = WaitingRow(
        command.order_ref, command.quantity, command.placed_at_ms, due_at_ms, command.retention_ms
    )
    _owe(waiter, command)
    turn.rows.put(CLAIMS, claim_key(turn.key, command.order_ref), claim)
    turn.rows.put(WAITERS, waiter_key(turn.key, row.tail), waiter)
    row.tail += 1
    turn.finish()


def reason_for(row: Reservation, quantity: int, placed_at_ms: int) -> str:
    """TAKEN, WAITING, or the first reason that holds in the order of `schemas.reasons.Reason`."""
    if (
        row.state is ACTIVE
        and not row.cause
        and placed_at_ms <= row.expires_at_ms
        and 0 < quantity <= row.reserved - row.claimed
    ):
        return TAKEN
    return _refusal(row, quantity, placed_at_ms)


def _refusal(row: Reservation, quantity: int, placed_at_ms: int) -> str:
    if quantity < 1:
        return INVALID
    if row.state is REJECTED:
        return NO_RESERVATION
    if row.cause:
        return row.cause
    if row.state is UNKNOWN or (row.state is PENDING and not row.hold_overdue):
        return WAITING
    if placed_at_ms > row.expires_at_ms:
        return EXPIRED
    return FLUENT_UNAVAILABLE if row.state is PENDING else EXHAUSTED


def record_decision(row: Reservation, quantity: int, reason: str, now_ms: int) -> int:
    """Take or refuse `quantity` units at `now_ms`; returns from when taken units may be settled, or 0."""
    if not row.report_at_ms and row.state is not UNKNOWN:
        row.report_at_ms = now_ms + row.terms.report_interval_ms
    if reason == TAKEN:
        row.claimed += quantity
        return ripen_later(row, quantity, now_ms)
    row.rejected_units += quantity
    row.rejected_orders += 1
    if row.state in CLOSED_STATES and not row.forget_at_ms:
        row.forget_at_ms = now_ms + row.terms.claims_kept_ms
    return 0
