"""Settles, and what verifies found: telling Fluent what was sold, and how that differs from what it holds.

Units that were claimed are unripe for the settle delay, while the shop may still book them; then they are
settled, which shrinks the hold by them. At the close the hold shrinks to what is unripe, and ends when
nothing is. Settled units that are given back make the hold grow again, and are offered when it has.
"""

from __future__ import annotations

from schemas.drift import DriftKind
from streams.ledger.commands import SettleConfirmed, SettleFailed, Verified
from streams.ledger.reservations.attendance import attended_since_ms
from streams.ledger.reservations.publishing import (
    notice_drift,
    publish_close,
    report_now,
    report_soon,
)
from streams.ledger.reservations.requests import answered, ask
from streams.ledger.reservations.state import (
    ACTIVE,
    CLOSED,
    CLOSED_STATES,
    RELEASE,
    RELEASING,
    SETTLE,
    VERIFY,
    Reservation,
)
from streams.ledger.reservations.turn import ReservationTurn
from streams.ledger.reservations.verifying import enrol, is_current, verify_alone


def follow_up(turn: ReservationTurn) -> None:
    """Ask what there is to ask next, unless an answer is awaited: a settle, then a verify.

    A settle does not wait for a verify, which then follows it.
    """
    row = turn.row
    if row.request and row.request != VERIFY:
        return
    if row.state is ACTIVE:
        ripe = row.claimed - _unripe_units(row)
        if ripe != row.settled:
            _settle(turn, row.reserved - ripe, ripe)
            return
    elif row.state is RELEASING:
        if _unripe_units(row) != row.asked_remaining:
            let_go(turn)
        return
    elif row.state is CLOSED and row.terms.book_sale and row.settled != row.claimed:
        _settle(turn, 0, row.claimed)
        return
    if row.verify_wanted and not row.request:
        _verify(turn)


def let_go(turn: ReservationTurn) -> None:
    """Release what nobody has bought; what is sold and unripe stays held. Supersedes what was asked before.

    Where we book the sales ourselves, the release does that first, and nothing has to stay held.
    """
    row = turn.row
    unripe = 0 if row.terms.book_sale else _unripe_units(row)
    if unripe:
        _settle(turn, unripe, row.claimed - unripe)
        return
    row.settle_at_ms = 0
    row.unripe_at_ms.clear()
    row.unripe_units.clear()
    row.settled = row.claimed
    ask(turn, RELEASE, consumed=row.claimed)


def unheld_units(row: Reservation) -> int:
    """Settled units that were given back, as long as Fluent may not hold them again: nobody may buy them.

    The shop undoes its booking meanwhile, and they are on sale elsewhere. Where we book the sales ourselves,
    a unit is always held or booked.
    """
    gone = max(row.told, row.settled)
    if not gone or row.terms.book_sale:
        return 0
    return max(0, gone - (row.claimed - _unripe_units(row)))


def _unripe_units(row: Reservation) -> int:
    return sum(row.unripe_units)


def ripen_later(row: Reservation, quantity: int, now_ms: int) -> int:
    """Put units that were just taken with those that ripen at the same time, and return that time."""
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


def ripen(turn: ReservationTurn) -> None:
    """Units whose delay has passed may be settled now.

    The delay counts from the outcome, which is out when the decision is committed. Where the partition was
    not attended, a claim's own time does not tell when that was.
    """
    row = turn.row
    out_at_ms = attended_since_ms(turn.rows)
    if turn.now_ms < out_at_ms + row.settle_delay_ms:
        row.settle_at_ms = out_at_ms + row.settle_delay_ms
        if row.state is RELEASING:
            report_soon(turn)  # the close waits longer than was said
        return
    times = row.unripe_at_ms
    ripe = sum(1 for at_ms in times if at_ms <= turn.now_ms)
    del times[:ripe]
    del row.unripe_units[:ripe]
    row.settle_at_ms = times[0] if times else 0


def unripen(turn: ReservationTurn, quantity: int, ripe_at_ms: int) -> None:
    """Units that were given back are not to be settled: not later, or not any more.

    `ripe_at_ms` says with which units these were taken: others, sold later, must not ripen early
    in their place. What was settled already makes the hold grow again: at once, so that it does before the
    shop has undone its booking, but not twice within the settle interval.
    """
    row = turn.row
    if ripe_at_ms not in row.unripe_at_ms:
        if row.state is RELEASING:
            return  # the hold does not grow any more: it is the shop that gives the units back
        soon_ms = max(turn.now_ms, row.checked_at_ms + row.terms.settle_interval_ms)
        row.settle_at_ms = min(row.settle_at_ms or soon_ms, soon_ms)
        return
    at = row.unripe_at_ms.index(ripe_at_ms)
    row.unripe_units[at] -= quantity


def ripen_again(turn: ReservationTurn, quantity: int, ripe_at_ms: int) -> int:
    """Units that were taken are unripe anew; returns until when. What was settled of them is held again."""
    row = turn.row
    if ripe_at_ms in row.unripe_at_ms:
        row.unripe_units[row.unripe_at_ms.index(ripe_at_ms)] -= quantity
    ripe_at_ms = ripen_later(row, quantity, turn.now_ms)
    follow_up(turn)
    return ripe_at_ms


def _settle(turn: ReservationTurn, remaining: int, consumed: int) -> None:
    row = turn.row
    row.verify_wanted = row.verify_wanted or row.request == VERIFY
    row.settled = consumed
    ask(turn, SETTLE, remaining=remaining, consumed=consumed)


def _verify(turn: ReservationTurn) -> None:
    """After the end a request of its own; while ACTIVE beside the rounds."""
    row = turn.row
    row.verify_wanted = False
    if row.state in CLOSED_STATES:
        ask(turn, VERIFY, consumed=row.settled)
    else:
        verify_alone(turn)


def on_settle_confirmed(turn: ReservationTurn, command: SettleConfirmed) -> None:
    """The hold is as it was asked for."""
    if not answered(turn, SETTLE, command.number):
        return
    row = turn.row
    row.told = row.asked_consumed
    drift_units, drift_kind = row.drift_units, row.drift_kind
    if drift_kind is DriftKind.SETTLE_REFUSED:
        drift_units, drift_kind = 0, None
    _found(turn, command.remaining, drift_units, drift_kind)
    if row.state is RELEASING:
        publish_close(turn)
    follow_up(turn)


def on_settle_failed(turn: ReservationTurn, command: SettleFailed) -> None:
    """Fluent refuses for good. It is not asked for the same again, only once the amount has changed."""
    if not answered(turn, SETTLE, command.number):
        return
    row = turn.row
    too_many = row.held - row.asked_remaining if row.state is RELEASING else row.asked_consumed - row.told
    _found(turn, row.held, abs(too_many), DriftKind.SETTLE_REFUSED)
    notice_drift(turn, "error", command.error)
    follow_up(turn)


def on_verified(turn: ReservationTurn, command: Verified) -> None:
    """What Fluent holds, compared with what was asked for; what was put right is no drift any more.

    While ACTIVE it is the answer to a line of a page: one that is outdated and news is looked at anew, alone.
    """
    row = turn.row
    known = (row.drift_units, row.drift_kind)
    if not answered(turn, VERIFY, command.number) and not is_current(turn, command.number, command.round):
        if row.state is ACTIVE and (command.drift_units, command.drift_kind) != known:
            row.verify_wanted = True
            follow_up(turn)
        return
    units = max(0, command.drift_units - command.corrected_units)
    kind = command.drift_kind if units else None
    row.fluent_status = "ACTIVE" if command.held else "INACTIVE"
    _found(turn, command.held, units, kind)
    if units and (units, kind) != known:
        notice_drift(turn)
    if command.corrected_units:
        turn.notify(
            "warning",
            "late_write_undone",
            kind=command.drift_kind or "",
            corrected_units=command.corrected_units,
            recommendation=(
                "Nothing to repair; look for a worker that froze or lost its connection around this time."
            ),
        )
    if row.release_owed and row.state is CLOSED and not command.held:
        publish_close(turn)
    follow_up(turn)


def check_again(turn: ReservationTurn) -> None:
    """It is time for the verify after the end. A row of a former version asks for one while it is ACTIVE."""
    row = turn.row
    row.verify_at_ms = 0
    row.verify_wanted = True
    if row.state is ACTIVE:
        enrol(turn)


def _found(turn: ReservationTurn, held: int, drift_units: int, drift_kind: DriftKind | None) -> None:
    row = turn.row
    drifted = (drift_units, drift_kind) != (row.drift_units, row.drift_kind)
    changed = held != row.held
    row.held, row.drift_units, row.drift_kind = held, drift_units, drift_kind
    row.checked_at_ms = turn.now_ms
    if drifted:
        report_now(turn)
    elif changed:
        report_soon(turn)
