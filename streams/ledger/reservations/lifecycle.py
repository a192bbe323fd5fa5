"""The life of a reservation.

UNKNOWN ─Reserve─► PENDING ─HoldConfirmed─► ACTIVE ─expiry, End─► RELEASING ─ReleaseConfirmed─► CLOSED
  │                 │  │                                            ▲   └────ReleaseFailed────► (drift)
  │                 │  └──────────────── expiry, End ───────────────┘                             ▲
  │                 └─HoldFailed─► REJECTED                                                       │
  └─ End, or a Reserve that comes after its own expiry: nothing is ever held ─────────────────────┘
"""

from __future__ import annotations

from schemas.drift import DriftKind
from schemas.reasons import Reason
from streams.ledger.commands import HoldConfirmed, HoldFailed, ReleaseConfirmed, ReleaseFailed, Reserve
from streams.ledger.reservations.figures import (
    answer_reserve,
    notice_drift,
    publish_release,
    report_now,
)
from streams.ledger.reservations.queue import drain
from streams.ledger.reservations.requests import answered, ask, follow_up
from streams.ledger.reservations.state import (
    ACTIVE,
    CLOSED,
    DETAILS,
    ENDED,
    EXPIRED,
    HOLD,
    INVALID,
    PENDING,
    REJECTED,
    RELEASE,
    RELEASING,
    UNKNOWN,
    Details,
    check_every_ms,
)
from streams.ledger.reservations.turn import Turn

MAX_UNRIPE = 32
"""Into so many steps, at most, a long settle delay is divided: it bounds the size of the row."""


def on_reserve(turn: Turn, command: Reserve) -> None:
    """Ask Fluent for a hold; a repeat is answered from the row, as soon as there is an answer."""
    row = turn.row
    if not row.expires_at_ms:
        _adopt(turn, command)
    if row.state == UNKNOWN:
        _begin(turn, command)
    elif row.state != PENDING:
        details = turn.rows.get(DETAILS, turn.key) or Details()
        answer_reserve(turn, details.error)


def on_hold_confirmed(turn: Turn, command: HoldConfirmed) -> None:
    """The units are held: whoever waits is served, first come first served."""
    row = turn.row
    if command.quantity < 1:
        error = f"Fluent confirmed a hold of {command.quantity} units."
        reason = Reason.INSUFFICIENT_INVENTORY.value
        on_hold_failed(turn, HoldFailed(turn.promotion_id, turn.sku, command.number, reason, error))
        return
    if not answered(turn, HOLD, command.number):
        return
    row.hold_overdue_at_ms = 0
    row.hold_overdue = False
    row.held = command.quantity
    row.fluent_status = "ACTIVE"
    row.checked_at_ms = turn.now_ms
    row.reserved = min(command.quantity, row.quantity)
    row.state = ACTIVE
    row.verify_at_ms = turn.now_ms + check_every_ms(row.terms)
    turn.rows.delete(DETAILS, turn.key)
    answer_reserve(turn)
    report_now(turn)
    drain(turn)


def on_hold_failed(turn: Turn, command: HoldFailed) -> None:
    """Fluent can not hold the units: nothing is reserved, and whoever waits is told so."""
    if answered(turn, HOLD, command.number):
        reason = command.reason if command.reason in Reason.__members__ else Reason.FLUENT_UNAVAILABLE.value
        turn.row.state = REJECTED
        turn.row.expiry_at_ms = 0
        turn.row.verify_at_ms = turn.now_ms + turn.row.terms.verify_ms
        _refuse(turn, reason, command.error)
        _over(turn)
        drain(turn)


def on_end(turn: Turn) -> None:
    """The promotion ends now. What is over, or being released already, stays as it is."""
    if turn.row.state in (UNKNOWN, PENDING, ACTIVE):
        end_sale(turn, ENDED)
        drain(turn)


def expire(turn: Turn) -> None:
    """The expiry grace is over. Without `auto_release` a confirmed hold stays until the End."""
    row = turn.row
    row.expiry_at_ms = 0
    if row.state == ACTIVE and not row.terms.auto_release:
        row.cause = EXPIRED
    elif row.state in (PENDING, ACTIVE):
        end_sale(turn, EXPIRED)


def end_sale(turn: Turn, cause: str) -> None:
    """From here on nothing is sold; whatever Fluent holds, or is about to hold, is released.

    A hold that is still in flight is superseded: its answer changes nothing any more, and releasing a
    hold that does not exist succeeds. The caller sees to the claims that wait.
    """
    row = turn.row
    row.cause = cause
    row.expiry_at_ms = row.hold_overdue_at_ms = row.no_reservation_at_ms = 0
    if row.state == UNKNOWN:
        row.state = CLOSED
        row.refusal = cause
        _over(turn)
        return
    if row.state == PENDING:
        _refuse(turn, cause, _UNANSWERED[cause].format(quantity=row.quantity, sku=turn.sku))
    _release(turn)


def on_release_confirmed(turn: Turn, command: ReleaseConfirmed) -> None:
    """Nothing of the hold is live: the reservation is CLOSED."""
    if not answered(turn, RELEASE, command.number):
        return
    row = turn.row
    row.held = row.drift_units = 0
    row.drift_kind = None
    row.fluent_status = "INACTIVE"
    row.told = row.asked_consumed
    if row.reserved:
        publish_release(turn, row.cause)
    _close(turn)


def on_release_failed(turn: Turn, command: ReleaseFailed) -> None:
    """Fluent refuses for good: CLOSED, and what it still holds is drift that a person has to repair."""
    if not answered(turn, RELEASE, command.number):
        return
    row = turn.row
    row.held = row.drift_units = command.held
    row.drift_kind = DriftKind.RELEASE_REFUSED
    row.release_owed = row.reserved > 0
    notice_drift(turn, "error", command.error)
    _close(turn)


_UNANSWERED = {
    ENDED: "The promotion was ended before Fluent confirmed the hold of {quantity} units of {sku}.",
    EXPIRED: "The promotion expired before Fluent confirmed the hold of {quantity} units of {sku}.",
}


def _adopt(turn: Turn, command: Reserve) -> None:
    row = turn.row
    terms = command.terms
    row.quantity = command.quantity
    row.expires_at_ms = command.expires_at_ms
    row.terms = terms
    row.settle_delay_ms = 0 if terms.book_sale else terms.settle_delay_ms
    row.settle_width_ms = max(terms.settle_interval_ms, row.settle_delay_ms // MAX_UNRIPE, 1)


def _begin(turn: Turn, command: Reserve) -> None:
    row = turn.row
    row.no_reservation_at_ms = 0
    if command.quantity < 1:
        row.state = REJECTED
        _refuse(turn, INVALID, f"{command.quantity} is not a number of units that can be reserved.")
        _over(turn)
        drain(turn)
        return
    expiry_at_ms = command.expires_at_ms + command.terms.expiry_grace_ms
    if expiry_at_ms <= turn.now_ms:
        row.state = CLOSED
        row.cause = EXPIRED
        _refuse(turn, EXPIRED, _UNANSWERED[EXPIRED].format(quantity=row.quantity, sku=turn.sku))
        _over(turn)
        drain(turn)
        return
    row.state = PENDING
    row.expiry_at_ms = expiry_at_ms
    row.hold_overdue_at_ms = turn.now_ms + command.terms.hold_timeout_ms
    if command.attributes:
        turn.rows.put(DETAILS, turn.key, Details(command.attributes))
    ask(turn, HOLD)


def _refuse(turn: Turn, reason: str, error: str) -> None:
    """Answer the Reserve: nothing is reserved, and why. The promotions stage warns the person on call."""
    turn.row.refusal = reason
    turn.row.hold_overdue_at_ms = 0
    turn.rows.put(DETAILS, turn.key, Details(error=error))
    answer_reserve(turn, error)


def _release(turn: Turn) -> None:
    row = turn.row
    row.state = RELEASING
    row.settle_at_ms = row.verify_at_ms = 0
    row.verify_wanted = False
    row.unripe_at_ms.clear()
    row.unripe_units.clear()
    row.settled = row.claimed
    ask(turn, RELEASE, consumed=row.claimed)
    report_now(turn)


def _close(turn: Turn) -> None:
    row = turn.row
    row.state = CLOSED
    row.checked_at_ms = turn.now_ms
    row.verify_at_ms = turn.now_ms + row.terms.verify_ms
    _over(turn)
    follow_up(turn)


def _over(turn: Turn) -> None:
    """Nothing is held any more: report, and forget the claims after the retention."""
    turn.row.forget_at_ms = turn.now_ms + turn.row.terms.retention_ms
    report_now(turn)
