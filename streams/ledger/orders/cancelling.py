"""Cancels: what of an order is given back, and cancels of an order that has not come."""

from __future__ import annotations

import hashlib

import msgspec

from schemas.topics import SKU_COMMANDS
from streams.ledger.commands import Cancel, LineCancelled, Lines, encode
from streams.ledger.inputs import CancelOrder
from streams.ledger.orders.publishing import publish_cancel, publish_unknown
from streams.ledger.orders.state import (
    CANCELLED,
    CANCELLING,
    DECIDED,
    NO_ORDER,
    WITHHELD,
    Ask,
    Cancellation,
    Line,
    Waiting,
    Withheld,
    sub_key,
)
from streams.ledger.orders.turn import OrderTurn

_canonical = msgspec.msgpack.Encoder().encode


def content_digest(lines: Lines) -> bytes:
    """16 bytes that stand for a cancel's content, whatever the order of its lines (empty: everything)."""
    return hashlib.blake2b(_canonical(sorted(lines)), digest_size=16).digest()


def identity(command: CancelOrder, digest: bytes) -> bytes:
    """What tells the cancels of one order apart: the cancellation reference, else the content."""
    if command.cancellation_ref:
        return b"R" + command.cancellation_ref.encode()
    return b"D" + digest


def begin(turn: OrderTurn, cancel: Waiting) -> None:
    """Ask the ledger for what the order still holds of the asked units, or answer if that is nothing."""
    order = turn.row
    if cancel.lines:
        asks = {sku: _ask(order.lines.get(sku), quantity) for sku, quantity in cancel.lines}
    else:
        asks = {sku: _ask_all(line) for sku, line in order.lines.items()}
    cancellation = Cancellation(cancel.source, cancel.cancellation_ref, asks)
    order.pending = sum(not ask.reason for ask in asks.values())
    if not order.pending:
        publish_cancel(turn, cancellation)
        return
    order.state = CANCELLING
    order.operation += 1
    order.cancellation = cancellation
    ask_back(turn, {sku: ask.quantity for sku, ask in asks.items() if not ask.reason}, compensation=False)


def _ask(line: Line | None, quantity: int) -> Ask:
    """A line of a cancel: whole or not at all, as far as the order holds it."""
    if line is None:
        return Ask(quantity, None, NO_ORDER)
    if line.left >= quantity:
        return Ask(quantity)
    return Ask(quantity, None, _why_not(line))


def _ask_all(line: Line) -> Ask:
    """A line of the order when the whole order is cancelled."""
    if line.left:
        return Ask(line.left)
    never_taken = line.claimed and line.reason != ""
    return Ask(line.claimed or line.quantity, None, NO_ORDER if never_taken else CANCELLED)


def _why_not(line: Line) -> str:
    """CANCELLED when a cancel took units out before, else NO_ORDER: they never were the order's."""
    if line.withheld or (line.reason == "" and line.left < line.claimed):
        return CANCELLED
    return NO_ORDER


def ask_back(turn: OrderTurn, units: dict[str, int], *, compensation: bool) -> None:
    """Send the ledger a Cancel per SKU under the order's current operation number."""
    ref, promotion_id = turn.ids
    for sku, quantity in units.items():
        command = Cancel(promotion_id, sku, quantity, ref, turn.row.operation, compensation)
        turn.send(SKU_COMMANDS, sku.encode(), encode(command))


def collect(turn: OrderTurn, answer: LineCancelled) -> None:
    """One SKU of the cancel under way is answered; the last one makes the outcome."""
    order = turn.row
    cancellation = order.cancellation
    ask = None if cancellation is None else cancellation.asks.get(answer.sku)
    if cancellation is None or ask is None or ask.reason or ask.given is not None:
        return
    ask.given = min(answer.quantity, ask.quantity)
    order.lines[answer.sku].left -= ask.given
    order.pending -= 1
    if not order.pending:
        order.state = DECIDED
        order.cancellation = None
        publish_cancel(turn, cancellation)


def withhold(turn: OrderTurn, cancel: Waiting) -> None:
    """The order has not come in time: say so, and remember which units it must not take any more."""
    if not cancel.lines:
        turn.row.withheld_all = True
    for sku, quantity in cancel.lines:
        key = sub_key(turn.key, sku.encode())
        known = turn.rows.get(WITHHELD, key)
        units = quantity if known is None else known.units + quantity
        turn.rows.put(WITHHELD, key, Withheld(units))
    asks = {sku: Ask(quantity, None, NO_ORDER) for sku, quantity in cancel.lines}
    publish_unknown(turn, Cancellation(cancel.source, cancel.cancellation_ref, asks))
