"""What leads a reservation from one state to the next; the package's `LIFE` says what happens in which."""

from __future__ import annotations

from schemas.drift import DriftKind
from schemas.reasons import Reason
from streams.ledger.commands import (
    End,
    HoldConfirmed,
    HoldFailed,
    ReleaseConfirmed,
    ReleaseFailed,
    Reserve,
    Tick,
)
from streams.ledger.reservations.decision import cause_of
from streams.ledger.reservations.figures import publish_soon
from streams.ledger.reservations.publishing import (
    answer_reserve,
    notice_drift,
    publish_close,
    report_now,
)
from streams.ledger.reservations.queue import drain
from streams.ledger.reservations.requests import answered, ask
from streams.ledger.reservations.settling import follow_up, let_go, ripen
from streams.ledger.reservations.state import (
    ACTIVE,
    CLOSED,
    CONFLICT,
    DETAILS,
    ENDED,
    HOLD,
    INVALID,
    PENDING,
    REJECTED,
    RELEASE,
    RELEASING,
    UNKNOWN,
    Details,
    State,
)
from streams.ledger.reservations.turn import ReservationTurn
from streams.ledger.reservations.verifying import enrol

MAX_UNRIPE = 32
"""A long settle delay is divided into at most this many steps, which bounds the size of the row."""


def begin(turn: ReservationTurn, command: Reserve) -> None:
    """Ask Fluent for the hold, unless there is nothing to hold or nothing can come in time any more."""
    row = turn.row
    _adopt(turn, command)
    row.no_reservation_at_ms = 0
    if command.quantity < 1:
        error = f"{command.quantity} is not a number of units that can be reserved."
        _never_held(turn, REJECTED, INVALID, error)
    elif command.ended_first:
        error = f"Promotion {turn.promotion_id} was ended before it was started."
        _never_held(turn, REJECTED, ENDED, error)
    elif _close_at_ms(turn) <= turn.watermark_ms:
        cause = row.cause = cause_of(row)
        _never_held(turn, CLOSED, cause, _unanswered(turn, cause))
    else:
        row.state = PENDING
        row.close_at_ms = _close_at_ms(turn)
        row.hold_overdue_at_ms = turn.now_ms + command.terms.hold_timeout_ms
        _put_details(turn, Details(command.attributes, trace=command.trace))
        ask(turn, HOLD)
        publish_soon(turn)


def answer_again(turn: ReservationTurn, command: Reserve) -> None:
    """A repeat is answered from the row; so is a Reserve that comes after its End."""
    if not turn.row.expires_at_ms:
        _adopt(turn, command)
        publish_soon(turn)
    answer_reserve(turn, _details(turn).error)


def confirm_hold(turn: ReservationTurn, command: HoldConfirmed) -> None:
    """The units are held: the claims that wait are served, first come first served."""
    row = turn.row
    if command.quantity < 1:
        error = f"Fluent confirmed a hold of {command.quantity} units."
        reason = Reason.INSUFFICIENT_INVENTORY.value
        fail_hold(turn, HoldFailed(turn.promotion_id, turn.sku, command.number, reason, error))
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
    enrol(turn)
    _put_details(turn, Details(trace=_details(turn).trace))
    answer_reserve(turn)
    _tell(turn)
    drain(turn)
    close_if_idle(turn)


def fail_hold(turn: ReservationTurn, command: HoldFailed) -> None:
    """Fluent cannot hold the units: nothing is reserved, and the claims that wait are told so."""
    if answered(turn, HOLD, command.number):
        reason = command.reason if command.reason in Reason.__members__ else Reason.FLUENT_UNAVAILABLE.value
        turn.row.close_at_ms = 0
        turn.row.close_waits = False
        if reason != CONFLICT:  # what is live under the refs is somebody else's, and is left alone
            turn.row.verify_at_ms = turn.now_ms + turn.row.terms.verify_ms
        _never_held(turn, REJECTED, reason, command.error)


def end(turn: ReservationTurn, command: End) -> None:
    """The promotion was ended: from now on that is its deadline, unless it expires sooner.

    Another end counts where it was placed sooner: the first one's time may have been a mistake.
    """
    row = turn.row
    if row.ended_at_ms and row.ended_at_ms <= command.ended_at_ms:
        return
    row.ended_at_ms = command.ended_at_ms
    if row.state is UNKNOWN:
        _end_unknown(turn)
        return
    row.deadline_ms = min(row.deadline_ms, row.ended_at_ms)
    row.close_at_ms = _close_at_ms(turn)
    if row.close_at_ms <= turn.watermark_ms:
        close_in_time(turn, command)


def close_in_time(turn: ReservationTurn, _: Tick | End) -> None:
    """Nothing that was placed in time can still come: close, once no claim waits for a decision any more.

    Without `auto_release` a confirmed hold stays until the End.
    """
    turn.row.close_at_ms = 0
    turn.row.close_waits = True
    close_if_idle(turn)


def close_if_idle(turn: ReservationTurn) -> None:
    """Close a reservation whose time is over, unless a claim waits to be decided, or Fluent to answer."""
    row = turn.row
    if not row.close_waits or row.head != row.tail or (row.state is PENDING and not row.hold_overdue):
        return
    row.close_waits = False
    if row.state is PENDING or row.terms.auto_release or row.ended_at_ms:
        _end_sale(turn)


def on_drain(turn: ReservationTurn) -> None:
    """A Continue of `drain_soon` has come."""
    if turn.row.draining:
        turn.row.draining -= 1
        drain(turn)
        close_if_idle(turn)
        turn.finish()


def confirm_release(turn: ReservationTurn, command: ReleaseConfirmed) -> None:
    """Nothing of the hold is live: the reservation is CLOSED."""
    if not answered(turn, RELEASE, command.number):
        return
    row = turn.row
    row.held = row.drift_units = 0
    row.drift_kind = None
    row.fluent_status = "INACTIVE"
    row.told = row.asked_consumed
    publish_close(turn)
    _close(turn)


def fail_release(turn: ReservationTurn, command: ReleaseFailed) -> None:
    """Fluent refuses for good: CLOSED, and what it still holds is drift that a person has to repair."""
    if not answered(turn, RELEASE, command.number):
        return
    row = turn.row
    row.held = row.drift_units = command.held
    row.drift_kind = DriftKind.RELEASE_REFUSED
    row.release_owed = row.reserved > 0 and not row.release_told
    notice_drift(turn, "error", command.error)
    _close(turn)


def _adopt(turn: ReservationTurn, command: Reserve) -> None:
    row = turn.row
    terms = command.terms
    row.quantity = command.quantity
    row.expires_at_ms = row.deadline_ms = command.expires_at_ms
    row.ended_at_ms = row.ended_at_ms or command.ended_at_ms
    if row.ended_at_ms:
        row.deadline_ms = min(row.expires_at_ms, row.ended_at_ms)
    row.terms = terms
    row.kept_ms = max(row.kept_ms, terms.claims_kept_ms)
    row.settle_delay_ms = 0 if terms.book_sale else terms.settle_delay_ms
    row.settle_width_ms = max(terms.settle_interval_ms, row.settle_delay_ms // MAX_UNRIPE, 1)


def _never_held(turn: ReservationTurn, state: State, reason: str, error: str) -> None:
    """It is over before it began: the Reserve and the claims that wait are refused."""
    turn.row.state = state
    _refuse(turn, reason, error)
    _report_closed(turn)
    drain(turn)


def _close_at_ms(turn: ReservationTurn) -> int:
    """At which watermark nothing that was placed in time can still come."""
    return turn.row.deadline_ms + turn.row.terms.expiry_grace_ms


def _end_unknown(turn: ReservationTurn) -> None:
    """An End that comes before its Reserve, which does not happen: nothing will be held."""
    row = turn.row
    row.no_reservation_at_ms = 0
    row.state = CLOSED
    row.cause = row.refusal = ENDED
    _report_closed(turn)
    drain(turn)


def _end_sale(turn: ReservationTurn) -> None:
    """From here on nothing is sold; whatever Fluent holds for nobody, or is about to hold, is released.

    A hold that is still in flight is superseded: its answer changes nothing any more, and releasing a
    hold that does not exist succeeds.
    """
    row = turn.row
    cause = row.cause = cause_of(row)
    if row.state is PENDING:
        _refuse(turn, cause, _unanswered(turn, cause))
    row.state = RELEASING
    row.verify_at_ms = 0
    row.verify_wanted = False
    ripen(turn)
    let_go(turn)
    _tell(turn)


def _unanswered(turn: ReservationTurn, cause: str) -> str:
    what = "was ended" if cause == ENDED else "expired"
    return (
        f"The promotion {what} before Fluent confirmed the hold of {turn.row.quantity} units of {turn.sku}."
    )


def _refuse(turn: ReservationTurn, reason: str, error: str) -> None:
    """Answer the Reserve: nothing is reserved, and why. The promotions core warns the person on call."""
    turn.row.refusal = reason
    turn.row.hold_overdue_at_ms = 0
    trace = _details(turn).trace if turn.row.state is PENDING else ""
    _put_details(turn, Details(error=error, trace=trace))
    answer_reserve(turn, error)


def _details(turn: ReservationTurn) -> Details:
    return turn.rows.get(DETAILS, turn.key) or Details()


def _put_details(turn: ReservationTurn, details: Details) -> None:
    """A reservation is never forgotten, so a row of nothing is not kept."""
    if details != Details():
        turn.rows.put(DETAILS, turn.key, details)
    elif turn.rows.get(DETAILS, turn.key) is not None:
        turn.rows.delete(DETAILS, turn.key)


def _close(turn: ReservationTurn) -> None:
    row = turn.row
    row.state = CLOSED
    _put_details(turn, Details(error=_details(turn).error))
    row.checked_at_ms = turn.now_ms
    row.verify_at_ms = turn.now_ms + row.terms.verify_ms
    _report_closed(turn)
    follow_up(turn)


def _report_closed(turn: ReservationTurn) -> None:
    """Nothing is held any more: report it, and forget the claims after the retention."""
    turn.row.forget_at_ms = turn.now_ms + turn.row.kept_ms
    _tell(turn)


def _tell(turn: ReservationTurn) -> None:
    """It is in another state: tell the promotion at once, and everybody else soon."""
    report_now(turn)
    publish_soon(turn)
