"""What a Tick does: act on the deadlines that have come, earliest first, and only on those.

Each reservation has one deadline row, at the earliest of its times (`state.next_wake_ms`).
"""

from __future__ import annotations

from schemas.topics import SKU_COMMANDS
from streams.ledger.commands import Continue
from streams.ledger.commands import encode as encode_command
from streams.ledger.effects import Effects, Send
from streams.ledger.reservations.figures import notify, report_now
from streams.ledger.reservations.forgetting import forget_one, forget_soon
from streams.ledger.reservations.lifecycle import expire
from streams.ledger.reservations.queue import drain_soon
from streams.ledger.reservations.reconcile import check_again
from streams.ledger.reservations.requests import follow_up, ripen, send_request
from streams.ledger.reservations.state import DEADLINES, PENDING, WAKE
from streams.ledger.reservations.turn import Turn, take_by_key
from streams.ledger.rows import Rows

MAX_DUE = 200
"""Deadlines that one command acts on: each has at most nine effects."""

DUE = "due"
"""Kind of the Continue that acts on further deadlines."""


def on_tick(rows: Rows, now_ms: int, effects: Effects) -> None:
    """Act on deadlines at or before `now_ms`; where there are many, a Continue goes on."""
    due = DEADLINES.due(rows, now_ms, MAX_DUE)
    for at_ms, kind, subject in due:
        DEADLINES.clear(rows, at_ms, kind, subject)
        turn = take_by_key(rows, effects, now_ms, subject)
        if turn is None:
            continue
        if kind != WAKE:
            forget_one(turn, subject)
        elif turn.row.wake_at_ms == at_ms:
            turn.row.wake_at_ms = 0
            _wake(turn)
            turn.finish()
    if len(due) == MAX_DUE:
        effects.sends.append(Send(SKU_COMMANDS, None, encode_command(Continue(DUE)), None, True))


def _wake(turn: Turn) -> None:
    """Act on each time that has come. Ends come first, reports late, so that a report shows the end."""
    row, now_ms = turn.row, turn.now_ms
    if 0 < row.hold_overdue_at_ms <= now_ms:
        _hold_is_overdue(turn)
    if 0 < row.expiry_at_ms <= now_ms:
        expire(turn)
        drain_soon(turn)
    if 0 < row.no_reservation_at_ms <= now_ms:
        row.no_reservation_at_ms = 0
        drain_soon(turn)
    if 0 < row.settle_at_ms <= now_ms:
        ripen(turn)
    if 0 < row.verify_at_ms <= now_ms:
        check_again(turn)
    if 0 < row.report_at_ms <= now_ms:
        report_now(turn)
    if 0 < row.forget_at_ms <= now_ms:
        forget_soon(turn)
    if 0 < row.ask_again_at_ms <= now_ms:
        send_request(turn)
    follow_up(turn)


def _hold_is_overdue(turn: Turn) -> None:
    row = turn.row
    row.hold_overdue_at_ms = 0
    if row.state != PENDING:
        return
    row.hold_overdue = True
    drain_soon(turn)
    notify(
        turn,
        "warning",
        "hold overdue",
        "Claims are answered FLUENT_UNAVAILABLE until Fluent confirms the hold: "
        "check that Fluent can be reached and that its credentials are valid (flashsale check).",
        waiting=row.tail - row.head,
    )
