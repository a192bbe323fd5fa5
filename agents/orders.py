"""The agent of `order-commands`: intake's events and our own commands, decided by the orders core."""

from __future__ import annotations

from typing import Annotated, cast

import faust
import msgspec

from agents.shell import CommandStage, WireName, channel, decide, decoder
from schemas.orders import OrderCancelled, OrderPlaced
from schemas.parsing import parse
from schemas.topics import ORDER_CANCELLED, ORDER_COMMANDS, ORDER_PLACED
from streams.engine.host.app import EngineApp
from streams.ledger import orders as core
from streams.ledger.commands import Lines, decode_order_command
from streams.ledger.inputs import CancelOrder, PlaceOrder
from streams.ledger.terms import Envelope


def register(app: EngineApp) -> None:
    """Let `app` decide what comes in on `order-commands`."""

    @app.agent(channel(app, ORDER_COMMANDS), name=ORDER_COMMANDS)
    async def orders(stream: faust.StreamT[bytes]) -> None:
        async for event in stream.events():
            await decide(app, event)


def stage(wire_name: WireName) -> CommandStage:
    """Decodes each record of `order-commands` and lets the orders core decide."""
    return CommandStage(ORDER_COMMANDS, wire_name(ORDER_COMMANDS), decode, EVENTS, core)


_Quantity = Annotated[int, msgspec.Meta(ge=1)]


class _Item(msgspec.Struct, gc=False):
    sku: str
    quantity: _Quantity


class _Placed(msgspec.Struct, rename="camel", gc=False):
    ref: str
    promotion_id: str
    items: Annotated[list[_Item], msgspec.Meta(min_length=1)]


class _Cancelled(msgspec.Struct, rename="camel", gc=False):
    ref: str
    promotion_id: str
    cancellation_ref: str | None = None
    items: Annotated[list[_Item], msgspec.Meta(min_length=1)] | None = None


class _PlacedEvent(msgspec.Struct, gc=False):
    order: _Placed


class _CancelledEvent(msgspec.Struct, gc=False):
    order: _Cancelled


_decode_placed = msgspec.json.Decoder(_PlacedEvent).decode
_decode_cancelled = msgspec.json.Decoder(_CancelledEvent).decode

_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""An event was validated by intake; here it is read by msgspec, at a tenth of pydantic's cost. What msgspec
alone refuses (a NaN in a field that nobody needs) is read by intake's own model, so that nothing that intake
let through is lost here; that model raises `schemas.invalid.InvalidEvent` for what it refuses too."""


def _place(envelope: Envelope, value: bytes, original: bytes) -> PlaceOrder:
    try:
        order = _decode_placed(value).order
        ref, promotion_id, lines = order.ref, order.promotion_id, _summed(order.items)
    except _UNREADABLE:
        event = cast(OrderPlaced, parse(ORDER_PLACED, value))
        (ref, promotion_id), lines = event.identity, event.normalised_items()
    return PlaceOrder(
        envelope.source, envelope.terms, envelope.placed_at_ms, ref, promotion_id, lines, original
    )


def _cancel(envelope: Envelope, value: bytes, original: bytes) -> CancelOrder:
    try:
        order = _decode_cancelled(value).order
        ref, promotion_id, cancellation_ref = order.ref, order.promotion_id, order.cancellation_ref
        lines = _summed(order.items) if order.items else ()
    except _UNREADABLE:
        event = cast(OrderCancelled, parse(ORDER_CANCELLED, value))
        (ref, promotion_id), cancellation_ref = event.identity, event.order.cancellation_ref
        lines = event.normalised_items()
    return CancelOrder(
        envelope.source,
        envelope.terms,
        envelope.placed_at_ms,
        ref,
        promotion_id,
        cancellation_ref or "",
        lines,
        original,
    )


def _summed(items: list[_Item]) -> Lines:
    """(sku, units) with equal SKUs summed, in first-seen order."""
    if len(items) == 1:
        return ((items[0].sku, items[0].quantity),)
    totals: dict[str, int] = {}
    for item in items:
        totals[item.sku] = totals.get(item.sku, 0) + item.quantity
    return tuple(totals.items())


EVENTS = {ORDER_PLACED: _place, ORDER_CANCELLED: _cancel}
decode = decoder(decode_order_command, EVENTS)
