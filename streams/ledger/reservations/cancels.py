"""Cancels: an order gives back what the ledger still holds of its claim."""

from __future__ import annotations

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
from streams.topology import ORDER_COMMANDS


def on_cancel(rows: Rows, command: Cancel, now_ms: int, effects: Effects) -> None:
    """Give units back and answer how many; 0 for a claim that is unknown, refused or given back already."""
    key = claim_key(reservation_key(command.promotion_id, command.sku), command.order_ref)
    claim = rows.get(CLAIMS, key)
    turn = take_known(rows, effects, now_ms, command.promotion_id, command.sku)
    quantity = 0
    if claim is not None and turn is not None:
        if claim.reason == WAITING:
            withdraw(turn, claim)
        elif claim.reason == TAKEN:
            quantity = _give_back(turn, key, claim, command)
        turn.finish()
    answer = LineCancelled(command.promotion_id, command.order_ref, command.sku, command.operation, quantity)
    value = encode_command(answer)
    effects.sends.append(Send(ORDER_COMMANDS, order_key(command.order_ref, command.promotion_id), value))


def _give_back(turn: Turn, key: bytes, claim: ClaimRow, command: Cancel) -> int:
    left = claim.quantity - claim.cancelled
    units = left if command.quantity == 0 else max(0, min(command.quantity, left))
    if not units:
        return 0
    claim.cancelled += units
    turn.rows.put(CLAIMS, key, claim)
    _count(turn, units, command.compensation)
    if turn.row.state == CLOSED:
        publish_release(turn, CANCELLED)
        report_now(turn)
        follow_up(turn)
        return units
    if turn.row.state == ACTIVE:
        unripen(turn, units, claim.ripe_at_ms)
    report_soon(turn)
    return units


def _count(turn: Turn, units: int, compensation: bool) -> None:
    row = turn.row
    row.claimed -= units
    if compensation:
        row.rejected_units += units
        row.rejected_orders += 1
    else:
        row.cancelled += units
