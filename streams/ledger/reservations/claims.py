"""Claims: an order's line takes units of a reservation, whole or not at all.

`on_claim` is the hot path of the whole system, which is why it spells out what elsewhere is a helper.
"""

from __future__ import annotations

from streams.ledger.commands import Claim, reservation_key
from streams.ledger.reservations.publishing import line_decided
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
    """Decide a claim, or let it wait; a repeat is answered from the row with the same bytes."""
    rows, effects = turn.rows, turn.effects
    promotion_id, sku, order_ref = command.promotion_id, command.sku, command.order_ref
    quantity = command.quantity
    key = reservation_key(promotion_id, sku)
    own_key = claim_key(key, order_ref)
    claim = rows.get(CLAIMS, own_key)
    if claim is not None:
        if claim.reason != WAITING:  # one that waits is answered when it is decided
            effects.sends.append(line_decided(promotion_id, order_ref, sku, claim.quantity, claim.reason))
        return
    row = rows.get(RESERVATIONS, key) or Reservation()
    reason = reason_for(row, quantity, command.placed_at_ms) if row.head == row.tail else WAITING
    if reason == WAITING:
        _wait(ReservationTurn(rows, effects, turn.now_ms, turn.log, promotion_id, sku, key, row), command)
        return
    ripe_at_ms = record_decision(row, quantity, reason, turn.now_ms)
    rows.put(CLAIMS, own_key, ClaimRow(quantity, reason, 0, ripe_at_ms))
    arm_sooner(rows, key, row)
    rows.put(RESERVATIONS, key, row)
    effects.sends.append(line_decided(promotion_id, order_ref, sku, quantity, reason))
    effects.count(reason)


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
        row.forget_at_ms = now_ms + row.terms.retention_ms
    return 0
