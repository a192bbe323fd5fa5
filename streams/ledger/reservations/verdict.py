"""What is decided about a claim, and what that does to the figures: the same for new and waiting claims."""

from __future__ import annotations

from streams.ledger.reservations.state import (
    ACTIVE,
    EXHAUSTED,
    EXPIRED,
    FLUENT_UNAVAILABLE,
    INVALID,
    NO_RESERVATION,
    OVER,
    PENDING,
    REJECTED,
    TAKEN,
    UNKNOWN,
    WAITING,
    Reservation,
)


def reason_for(row: Reservation, quantity: int, placed_at_ms: int) -> str:
    """TAKEN, WAITING, or the first reason that holds in the order of `schemas.reasons.Reason`."""
    if (
        row.state == ACTIVE
        and not row.cause
        and placed_at_ms <= row.expires_at_ms
        and 0 < quantity <= row.reserved - row.claimed
    ):
        return TAKEN
    return _refusal(row, quantity, placed_at_ms)


def _refusal(row: Reservation, quantity: int, placed_at_ms: int) -> str:
    if quantity < 1:
        return INVALID
    if row.state == REJECTED:
        return NO_RESERVATION
    if row.cause:
        return row.cause
    if row.state == UNKNOWN or (row.state == PENDING and not row.hold_overdue):
        return WAITING
    if placed_at_ms > row.expires_at_ms:
        return EXPIRED
    return FLUENT_UNAVAILABLE if row.state == PENDING else EXHAUSTED


def record_verdict(row: Reservation, quantity: int, reason: str, now_ms: int) -> int:
    """Take or refuse `quantity` units at `now_ms`; answers from when taken units may be settled, or 0."""
    if not row.report_at_ms and row.state != UNKNOWN:
        row.report_at_ms = now_ms + row.terms.report_interval_ms
    if reason == TAKEN:
        row.claimed += quantity
        return _ripen_later(row, quantity, now_ms)
    row.rejected_units += quantity
    row.rejected_orders += 1
    if row.state in OVER and not row.forget_at_ms:
        row.forget_at_ms = now_ms + row.terms.retention_ms
    return 0


def _ripen_later(row: Reservation, quantity: int, now_ms: int) -> int:
    """Put units that were just taken with those that ripen at the same time."""
    ripe_at_ms = now_ms + row.settle_delay_ms
    ripe_at_ms += -ripe_at_ms % row.settle_width_ms
    times = row.unripe_at_ms
    if times and times[-1] == ripe_at_ms:
        row.unripe_units[-1] += quantity
        return ripe_at_ms
    times.append(ripe_at_ms)
    row.unripe_units.append(quantity)
    if not row.settle_at_ms or ripe_at_ms < row.settle_at_ms:
        row.settle_at_ms = ripe_at_ms
    return ripe_at_ms
