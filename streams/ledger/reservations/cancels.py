"""Cancels: an order gives back what the ledger still holds of its claim."""

from __future__ import annotations

from schemas.topics import ORDER_COMMANDS
from streams.ledger.commands import Cancel, LineCancelled, encode
from streams.ledger.reservations.figures import publish_soon
from streams.ledger.reservations.publishing import publish_release, report_now, report_soon
from streams.ledger.reservations.queue import withdraw
from streams.ledger.reservations.settling import follow_up, unripen
from streams.ledger.reservations.state import (
    CANCELLED,
    CLAIMS,
    CLOSED,
    INCOMPLETE_ORDER,
    RELEASING,
    TAKEN,
    WAITING,
    ClaimRow,
    claim_key,
)
from streams.ledger.reservations.turn import ReservationTurn


def on_cancel(turn: ReservationTurn, command: Cancel) -> None:
    """Give units back and answer how many; 0 for a claim that is unknown, refused or given back already."""
    key = claim_key(turn.key, command.order_ref)
    claim = turn.rows.get(CLAIMS, key)
    if claim is None:
        _answer(turn, command, 0)
        return
    units = 0
    if claim.reason == WAITING:
        withdraw(turn, claim)
    elif claim.reason == TAKEN:
        units = _units(claim, command.quantity)
    _answer(turn, command, units)
    if units:
        if command.compensation and units == claim.quantity - claim.cancelled:
            claim.reason = INCOMPLETE_ORDER
        else:
            claim.cancelled += units
            claim.order_changed_at_ms = turn.now_ms
        turn.rows.put(CLAIMS, key, claim)
        _give_back(turn, claim, units, command.compensation)
    turn.finish()


def _units(claim: ClaimRow, asked: int) -> int:
    """What is given back: as much as is asked for, all of it for 0, and never more than is held."""
    left = claim.quantity - claim.cancelled
    return left if asked == 0 else max(0, min(asked, left))


def _answer(turn: ReservationTurn, command: Cancel, units: int) -> None:
    answer = LineCancelled(command.promotion_id, command.order_ref, command.sku, command.operation, units)
    turn.send(ORDER_COMMANDS, command.order_ref.encode(), encode(answer))


def _give_back(turn: ReservationTurn, claim: ClaimRow, units: int, compensation: bool) -> None:
    row = turn.row
    row.claimed -= units
    if compensation:
        row.rejected_units += units
        row.rejected_orders += 1
    else:
        row.cancelled += units
    publish_soon(turn)
    if row.state is CLOSED:
        publish_release(turn, CANCELLED)
        report_now(turn)
        follow_up(turn)
        return
    unripen(turn, units, claim.ripe_at_ms)
    if row.state is RELEASING:
        if row.release_told:
            publish_release(turn, CANCELLED)
        follow_up(turn)
    report_soon(turn)
