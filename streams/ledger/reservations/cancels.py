"""Cancels: an order gives back what the ledger still holds of its claim."""

from __future__ import annotations

from schemas.topics import ORDER_COMMANDS
from streams.ledger.commands import Cancel, LineCancelled, order_key, reservation_key
from streams.ledger.commands import encode as encode_command
from streams.ledger.effects import Effects, Send
from streams.ledger.reservations.figures import publish_release, report_now, report_soon
from streams.ledger.reservations.queue import withdraw
from streams.ledger.reservations.requests import follow_up, unripen
from streams.ledger.reservations.state import (
    ACTIVE,
    CANCELLED,
    CLAIMS,
    CLOSED,
    TAKEN,
    WAITING,
    ClaimRow,
    claim_key,
)
from streams.ledger.reservations.turn import Turn, take_known
from streams.ledger.rows import Rows


def on_cancel(rows: Rows, command: Cancel, now_ms: int, effects: Effects) -> None:
    """Give units back and answer how many; 0 for a claim that is unknown, refused or given back already."""
    key = claim_key(reservation_key(command.promotion_id, command.sku), command.order_ref)
    claim = rows.get(CLAIMS, key)
    turn = take_known(rows, effects, now_ms, command.promotion_id, command.sku)
    if claim is None or turn is None:
        _answer(effects, command, 0)
        return
    units = 0
    if claim.reason == WAITING:
        withdraw(turn, claim)
    elif claim.reason == TAKEN:
        units = _units(claim, command.quantity)
    _answer(effects, command, units)
    if units:
        claim.cancelled += units
        rows.put(CLAIMS, key, claim)
        _give_back(turn, claim, units, command.compensation)
    turn.finish()


def _units(claim: ClaimRow, asked: int) -> int:
    """What is given back: as much as is asked for, all of it for 0, and never more than is held."""
    left = claim.quantity - claim.cancelled
    return left if asked == 0 else max(0, min(asked, left))


def _answer(effects: Effects, command: Cancel, units: int) -> None:
    answer = LineCancelled(command.promotion_id, command.order_ref, command.sku, command.operation, units)
    key = order_key(command.order_ref, command.promotion_id)
    effects.sends.append(Send(ORDER_COMMANDS, key, encode_command(answer)))


def _give_back(turn: Turn, claim: ClaimRow, units: int, compensation: bool) -> None:
    row = turn.row
    row.claimed -= units
    if compensation:
        row.rejected_units += units
        row.rejected_orders += 1
    else:
        row.cancelled += units
    if row.state == CLOSED:
        publish_release(turn, CANCELLED)
        report_now(turn)
        follow_up(turn)
        return
    if row.state == ACTIVE:
        unripen(turn, units, claim.ripe_at_ms)
    report_soon(turn)
