"""Fluent's answers to settles and verifies: what it really holds."""

from __future__ import annotations

from schemas.drift import DriftKind
from streams.ledger.commands import SettleConfirmed, SettleFailed, Verified
from streams.ledger.reservations.figures import notice_drift, notify, publish_release, report_now, report_soon
from streams.ledger.reservations.requests import answered, follow_up
from streams.ledger.reservations.state import ACTIVE, CLOSED, SETTLE, VERIFY, check_every_ms
from streams.ledger.reservations.turn import Turn


def on_settle_confirmed(turn: Turn, command: SettleConfirmed) -> None:
    """The hold is as it was asked for."""
    if not answered(turn, SETTLE, command.number):
        return
    row = turn.row
    row.told = row.asked_consumed
    drift_units, drift_kind = row.drift_units, row.drift_kind
    if drift_kind is DriftKind.SETTLE_REFUSED:
        drift_units, drift_kind = 0, None
    _found(turn, command.remaining, drift_units, drift_kind)
    follow_up(turn)


def on_settle_failed(turn: Turn, command: SettleFailed) -> None:
    """Fluent refuses for good. It is not asked for the same again, only once the amount has changed."""
    if not answered(turn, SETTLE, command.number):
        return
    row = turn.row
    _found(turn, row.held, abs(row.asked_consumed - row.told), DriftKind.SETTLE_REFUSED)
    notice_drift(turn, "error", command.error)
    follow_up(turn)


def on_verified(turn: Turn, command: Verified) -> None:
    """What Fluent holds, compared with what was asked for; what was put right is no drift any more."""
    if not answered(turn, VERIFY, command.number):
        return
    row = turn.row
    known = (row.drift_units, row.drift_kind)
    units = command.drift_units
    if command.corrected_units:
        units = max(0, units - command.corrected_units)
    kind = command.drift_kind if units else None
    row.fluent_status = "ACTIVE" if command.held else "INACTIVE"
    _found(turn, command.held, units, kind)
    if units and (units, kind) != known:
        notice_drift(turn)
    if command.corrected_units:
        notify(
            turn,
            "warning",
            "late write undone",
            "Nothing to repair; look for a worker that froze or lost its connection around this time.",
            kind=command.drift_kind or "",
            corrected_units=command.corrected_units,
        )
    if row.release_owed and row.state == CLOSED and not command.held:
        row.release_owed = False
        publish_release(turn, row.cause)
    follow_up(turn)


def check_again(turn: Turn) -> None:
    """It is time for a verify; while something is held the next one follows."""
    row = turn.row
    row.verify_wanted = True
    row.verify_at_ms = turn.now_ms + check_every_ms(row.terms) if row.state == ACTIVE else 0


def _found(turn: Turn, held: int, drift_units: int, drift_kind: DriftKind | None) -> None:
    row = turn.row
    drifted = (drift_units, drift_kind) != (row.drift_units, row.drift_kind)
    changed = held != row.held
    row.held, row.drift_units, row.drift_kind = held, drift_units, drift_kind
    row.checked_at_ms = turn.now_ms
    if drifted:
        report_now(turn)
    elif changed:
        report_soon(turn)
