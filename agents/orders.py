"""The agent of `order-commands`: intake's events and our own commands, decided by the orders core."""

from __future__ import annotations

import faust

from agents.shell import CommandStage, Events, WireName, channel, decide, decoder
from schemas.normalised import Cancelled, Placed
from schemas.topics import ORDER_CANCELLED, ORDER_COMMANDS, ORDER_PLACED
from streams.engine.host.app import EngineApp
from streams.ledger import orders as core
from streams.ledger.commands import decode_order_command
from streams.ledger.inputs import CancelOrder, PlaceOrder
from streams.ledger.terms import Source, Terms


def register(app: EngineApp) -> None:
    """Let `app` decide what comes in on `order-commands`."""

    @app.agent(channel(app, ORDER_COMMANDS), name=ORDER_COMMANDS)
    async def orders(stream: faust.StreamT[bytes]) -> None:
        async for event in stream.events():
            await decide(app, event)


def stage(wire_name: WireName) -> CommandStage:
    """Decodes each record of `order-commands` and lets the orders core decide."""
    return CommandStage(ORDER_COMMANDS, wire_name(ORDER_COMMANDS), decode, EVENTS, core)


def _place(source: Source, terms: Terms, placed_at_ms: int, order: Placed, original: bytes) -> PlaceOrder:
    return PlaceOrder(source, terms, placed_at_ms, order.order_ref, order.promotion_id, order.lines, original)


def _cancel(
    source: Source, terms: Terms, placed_at_ms: int, order: Cancelled, original: bytes
) -> CancelOrder:
    return CancelOrder(
        source,
        terms,
        placed_at_ms,
        order.order_ref,
        order.promotion_id,
        order.cancellation_ref,
        order.lines,
        original,
    )


EVENTS: Events = {ORDER_PLACED: _place, ORDER_CANCELLED: _cancel}
decode = decoder(decode_order_command, EVENTS)
