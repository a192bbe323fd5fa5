"""What is decided about a claim, new or waiting, and what that does to the figures."""

from __future__ import annotations

from streams.ledger.reservations.settling import ripen_later, unheld_units
from streams.ledger.reservations.state import (
    ACTIVE,
    CLOSED_STATES,
    ENDED,
    EXHAUSTED,
    EXPIRED,
    FLUENT_UNAVAILABLE,
    INVALID,
    NO_RESERVATION,
    PENDING,
    REJECTED,
    TAKEN,
    UNKNOWN,
    WAITING,
    Reservation,
)


def reason_for(row: Reservation, quantity: int, placed_at_ms: int) -> str:
    """TAKEN, WAITING, or the first reason that holds in the order of `schemas.reasons.Reason`."""
    if row.state is ACTIVE and placed_at_ms <= row.deadline_ms:
        left = row.reserved - row.claimed
        if 0 < quantity <= left and quantity <= left - unheld_units(row):
            return TAKEN
    return _refusal(row, quantity, placed_at_ms)


def reason_behind_others(row: Reservation, quantity: int, placed_at_ms: int) -> str:
    """For a claim that comes while others wait: WAITING, unless it is too late whatever becomes of those."""
    reason = _refusal(row, quantity, placed_at_ms)
    return reason if reason in (ENDED, EXPIRED) else WAITING


def cause_of(row: Reservation) -> str:
    """Which deadline came first. Where both came at once it is the end, as in `schemas.reasons.Reason`."""
    ended_first = row.ended_at_ms and row.ended_at_ms == row.deadline_ms
    return ENDED if ended_first else EXPIRED


def _refusal(row: Reservation, quantity: int, placed_at_ms: int) -> str:
    if quantity < 1:
        return INVALID
    if row.state is REJECTED:
        return NO_RESERVATION
    if row.cause:
        return row.cause
    if row.state is UNKNOWN:
        return WAITING
    if placed_at_ms > row.deadline_ms:
        return cause_of(row)
    if row.state is PENDING:
        return FLUENT_UNAVAILABLE if row.hold_overdue else WAITING
    return EXHAUSTED


def record_decision(row: Reservation, quantity: int, reason: str, now_ms: int) -> int:
    """Take or refuse `quantity` units at `now_ms`; returns from when taken units may be settled, or 0."""
    if not row.report_at_ms and row.state is not UNKNOWN:
        row.report_at_ms = now_ms + row.terms.report_interval_ms
    if reason == TAKEN:
        row.claimed += quantity
        return ripen_later(row, quantity, now_ms)
    row.rejected_units += quantity
    row.rejected_orders += 1
    forget_after_close(row, now_ms)
    return 0


def forget_after_close(row: Reservation, now_ms: int) -> None:
    """See to it that a claim of after the close is forgotten, if nothing is to be forgotten already."""
    if row.state in CLOSED_STATES and not row.forget_at_ms:
        row.forget_at_ms = now_ms + row.kept_ms
