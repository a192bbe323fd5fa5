"""From the records of order-commands to the commands of the orders core."""

from __future__ import annotations

from typing import Annotated, cast

import msgspec

from schemas.orders import OrderCancelled, OrderPlaced
from schemas.parsing import parse
from schemas.topics import ORDER_CANCELLED, ORDER_PLACED
from streams.ledger.commands import CancelOrder, Lines, OrderCommand, PlaceOrder, decode_order_command
from streams.ledger.terms import Envelope

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


_decode_envelope = msgspec.msgpack.Decoder(Envelope).decode
_decode_placed = msgspec.json.Decoder(_PlacedEvent).decode
_decode_cancelled = msgspec.json.Decoder(_CancelledEvent).decode


def decode(record_value: bytes, header: bytes | None) -> OrderCommand | PlaceOrder | CancelOrder:
    """The command in a record: an input event where it has an envelope header, else one of our own.

    An event was validated by intake; here it is read by msgspec, at a tenth of pydantic's cost. What msgspec
    alone refuses (a NaN in a field that nobody needs) is read by intake's own model, so that nothing that
    intake let through is lost here.

    Raises `msgspec.MsgspecError` for bytes that are none of our commands and for a broken envelope,
    `schemas.invalid.InvalidEvent` for an event that intake's model refuses too.
    """
    if header is None:
        command: OrderCommand = decode_order_command(record_value)
        return command
    envelope: Envelope = _decode_envelope(header)
    value = record_value if envelope.mapped is None else envelope.mapped
    topic = envelope.source.topic  # with TOPIC_PREFIX, where one is set
    if topic.endswith(ORDER_PLACED):
        return _place(envelope, value, record_value)
    if topic.endswith(ORDER_CANCELLED):
        return _cancel(envelope, value, record_value)
    raise msgspec.ValidationError(f"{topic} is neither {ORDER_PLACED} nor {ORDER_CANCELLED}")


def _place(envelope: Envelope, value: bytes, original: bytes) -> PlaceOrder:
    try:
        order = _decode_placed(value).order
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _place_as_intake_reads_it(envelope, value, original)
    return PlaceOrder(
        envelope.source,
        envelope.terms,
        envelope.placed_at_ms,
        order.ref,
        order.promotion_id,
        _summed(order.items),
        original,
    )


def _cancel(envelope: Envelope, value: bytes, original: bytes) -> CancelOrder:
    try:
        order = _decode_cancelled(value).order
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _cancel_as_intake_reads_it(envelope, value, original)
    return CancelOrder(
        envelope.source,
        envelope.terms,
        envelope.placed_at_ms,
        order.ref,
        order.promotion_id,
        order.cancellation_ref or "",
        _summed(order.items) if order.items else (),
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


def _place_as_intake_reads_it(envelope: Envelope, value: bytes, original: bytes) -> PlaceOrder:
    event = cast(OrderPlaced, parse(ORDER_PLACED, value))
    source, terms, at_ms = envelope.source, envelope.terms, envelope.placed_at_ms
    ref, promotion_id = event.identity
    return PlaceOrder(source, terms, at_ms, ref, promotion_id, event.normalised_items(), original)


def _cancel_as_intake_reads_it(envelope: Envelope, value: bytes, original: bytes) -> CancelOrder:
    event = cast(OrderCancelled, parse(ORDER_CANCELLED, value))
    source, terms, at_ms = envelope.source, envelope.terms, envelope.placed_at_ms
    ref, promotion_id = event.identity
    cancellation_ref = event.order.cancellation_ref or ""
    lines = event.normalised_items()
    return CancelOrder(source, terms, at_ms, ref, promotion_id, cancellation_ref, lines, original)
