"""What a Tick does: act on the deadlines that have come, earliest first, and only on those.

Each reservation has one deadline row by the clock, at the earliest of its times (`state.next_wake_ms`), and
one by the watermark (`state.next_mark_ms`).
"""

from __future__ import annotations

from streams.ledger.commands import Tick
from streams.ledger.reservations.attendance import attended_since_ms, beat
from streams.ledger.reservations.figures import publish_changed
from streams.ledger.reservations.forgetting import forget_one, forget_soon
from streams.ledger.reservations.lifecycle import close_if_idle, close_in_time
from streams.ledger.reservations.publishing import report_now
from streams.ledger.reservations.queue import drain_soon
from streams.ledger.reservations.requests import send_request
from streams.ledger.reservations.settling import check_again, follow_up, ripen
from streams.ledger.reservations.state import (
    BY_CLOCK,
    BY_WATERMARK,
    FIGURES,
    HEARTBEAT,
    PENDING,
    ROUND_DUE,
    WAKE,
)
from streams.ledger.reservations.turn import ReservationTurn, Work, take_by_key
from streams.ledger.reservations.verifying import begin_round
from streams.ledger.turn import Turn

MAX_DUE = 200
"""Deadlines that one command acts on: each has at most nine effects."""


MAX_DOUBLINGS = 4
"""How often the number of Continues that act on further deadlines doubles: up to 16 at once."""


def on_due(turn: Turn, doublings: bytes = b"") -> None:
    """Act on the deadlines that have come; where there are many, Continues go on.

    Each command that finds a full page asks for two more, so that 10,000 SKUs that expire together take a few
    rounds through the log and not fifty. `doublings` is as long as the number of rounds so far.
    """
    marked = BY_WATERMARK.due(turn.rows, turn.watermark_ms, MAX_DUE)
    for at_ms, kind, subject in marked:
        BY_WATERMARK.clear(turn.rows, at_ms, kind, subject)
        reservation = take_by_key(turn, subject)
        if kind != WAKE:
            forget_one(reservation, subject)
        elif reservation.row.mark_at_ms == at_ms:
            reservation.row.mark_at_ms = 0
            _pass_mark(reservation)
            reservation.finish()
    due = BY_CLOCK.due(turn.rows, turn.now_ms, MAX_DUE - len(marked))
    for at_ms, kind, subject in due:
        BY_CLOCK.clear(turn.rows, at_ms, kind, subject)
        if kind == HEARTBEAT:
            beat(turn)
            continue
        if kind == FIGURES:
            publish_changed(turn)
            continue
        if kind == ROUND_DUE:
            begin_round(turn)
            continue
        reservation = take_by_key(turn, subject)
        if reservation.row.wake_at_ms == at_ms:
            reservation.row.wake_at_ms = 0
            _wake(reservation)
            reservation.finish()
    if len(marked) + len(due) == MAX_DUE:
        double = len(doublings) < MAX_DOUBLINGS
        for _ in range(2 if double else 1):
            turn.go_on(Work.DUE, doublings + b"+" if double else doublings)


def _pass_mark(turn: ReservationTurn) -> None:
    """Act on each time that the watermark has reached."""
    row, watermark_ms = turn.row, turn.watermark_ms
    if 0 < row.close_at_ms <= watermark_ms:
        close_in_time(turn, Tick())
    if 0 < row.no_reservation_at_ms <= watermark_ms:
        row.no_reservation_at_ms = 0
        drain_soon(turn)
    if 0 < row.forget_at_ms <= watermark_ms:
        forget_soon(turn)


def _wake(turn: ReservationTurn) -> None:
    """Act on each time that has come, reports late, so that a report shows what has changed."""
    row, now_ms = turn.row, turn.now_ms
    if 0 < row.hold_overdue_at_ms <= now_ms:
        _hold_is_overdue(turn)
    if 0 < row.settle_at_ms <= now_ms:
        ripen(turn)
    if 0 < row.verify_at_ms <= now_ms:
        check_again(turn)
    if 0 < row.report_at_ms <= now_ms:
        report_now(turn)
    if 0 < row.ask_again_at_ms <= now_ms:
        send_request(turn)
    follow_up(turn)


def _hold_is_overdue(turn: ReservationTurn) -> None:
    """Fluent has had its time; or not, where the request may not have been out, or nobody there to ask it."""
    row = turn.row
    row.hold_overdue_at_ms = 0
    if row.state is not PENDING:
        return
    overdue_at_ms = attended_since_ms(turn.rows) + row.terms.hold_timeout_ms
    if turn.now_ms < overdue_at_ms:
        row.hold_overdue_at_ms = overdue_at_ms
        return
    row.hold_overdue = True
    drain_soon(turn)
    turn.notify(
        "warning",
        "hold_overdue",
        waiting=row.tail - row.head,
        recommendation=(
            "Claims are answered FLUENT_UNAVAILABLE until Fluent confirms the hold: "
            "check that Fluent can be reached and that its credentials are valid (flashsale check)."
        ),
    )
    close_if_idle(turn)
