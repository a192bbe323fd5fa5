"""Order events as a decision needs them: who orders what, equal SKUs summed, everything else left out.

msgspec reads an order at a quarter of pydantic's cost. What it accepts here, pydantic accepts with the same
result; where the two might differ it says nothing. For all else, and for an error's words, the contract's
models are asked. tests/contract/test_normalised.py compares the two over generated and mutated messages.
Promotions are a handful a day: their models read them alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta

from schemas.fields import MAX_LINES, MAX_QUANTITY, MAX_REF_BYTES, Lines
from schemas.orders import OrderCancelled, OrderPlaced
from schemas.parsing import parse
from schemas.promotions import PromotionEnd, PromotionStart
from schemas.topics import ORDER_CANCELLED, ORDER_PLACED
from schemas.unreadable import UNREADABLE

MAX_QUICK_BYTES = 4_096
"""Longer messages go to pydantic: its parser refuses numbers of more than 4,300 digits, msgspec does not."""

MAX_QUICK_BRACKETS = 180
"""So do those with more opening brackets: its parser refuses more than 200 levels, msgspec does not.
A message of fewer bytes cannot have as many, so most are not searched for them."""


class Placed(msgspec.Struct, frozen=True, gc=False):
    """An `order-placed`."""

    order_ref: str
    promotion_id: str
    lines: Lines


class Cancelled(msgspec.Struct, frozen=True, gc=False):
    """An `order-cancelled`; `cancellation_ref` is "" where it has none, `lines` empty for the whole order."""

    order_ref: str
    promotion_id: str
    cancellation_ref: str
    lines: Lines


Normalised = Placed | Cancelled | PromotionStart | PromotionEnd


def read(topic: str, value: bytes | None) -> Normalised:
    """The event in the value of a record of the input topic `topic` (logical name). Raises InvalidEvent."""
    if topic == ORDER_PLACED:
        return read_placed(value)
    if topic == ORDER_CANCELLED:
        return read_cancelled(value)
    return cast(PromotionStart | PromotionEnd, parse(topic, value))


def read_placed(value: bytes | None) -> Placed:
    """The event in the value of an `order-placed`. Raises InvalidEvent."""
    if value is not None and (quick := quick_placed(value)) is not None:
        return quick
    event = cast(OrderPlaced, parse(ORDER_PLACED, value))
    return Placed(*event.identity, event.normalised_items())


def read_cancelled(value: bytes | None) -> Cancelled:
    """The event in the value of an `order-cancelled`. Raises InvalidEvent."""
    if value is not None and (quick := quick_cancelled(value)) is not None:
        return quick
    event = cast(OrderCancelled, parse(ORDER_CANCELLED, value))
    return Cancelled(*event.identity, event.order.cancellation_ref or "", event.normalised_items())


def quick_placed(value: bytes) -> Placed | None:
    """The event as msgspec reads it; None says nothing about the message: ask the model."""
    event: _OrderPlaced | None = _decoded(value, _decode_placed)
    if event is None:
        return None
    order = event.order
    lines = _summed(order.items)
    if lines is None or not (_is_plain(order.ref) and _is_plain(order.promotion_id)):
        return None
    return Placed(order.ref, order.promotion_id, lines)


def quick_cancelled(value: bytes) -> Cancelled | None:
    """The event as msgspec reads it; None says nothing about the message: ask the model."""
    event: _OrderCancelled | None = _decoded(value, _decode_cancelled)
    if event is None:
        return None
    order = event.order
    cancellation_ref = order.cancellation_ref or ""
    lines = _summed(order.items) if order.items else ()
    refs = (order.ref, order.promotion_id, cancellation_ref)
    if lines is None or not all(map(_is_plain, refs)):
        return None
    return Cancelled(*refs, lines)


_Ref = Annotated[str, Meta(min_length=1, max_length=MAX_REF_BYTES)]


class _Item(msgspec.Struct, gc=False):
    sku: _Ref
    quantity: Annotated[int, Meta(ge=1, le=MAX_QUANTITY)]


_Items = Annotated[list[_Item], Meta(min_length=1, max_length=MAX_LINES)]


class _PlacedOrder(msgspec.Struct, rename="camel", gc=False):
    ref: _Ref
    promotion_id: _Ref
    items: _Items


class _CancelledOrder(msgspec.Struct, rename="camel", gc=False):
    ref: _Ref
    promotion_id: _Ref
    cancellation_ref: _Ref | None = None
    items: _Items | None = None


class _OrderPlaced(msgspec.Struct, gc=False):
    order: _PlacedOrder


class _OrderCancelled(msgspec.Struct, gc=False):
    order: _CancelledOrder


_decode_placed = msgspec.json.Decoder(_OrderPlaced).decode
_decode_cancelled = msgspec.json.Decoder(_OrderCancelled).decode


def _decoded(value: bytes, decode: Callable[[bytes], Any]) -> Any:
    """What `decode` makes of a message in which the two parsers agree on what JSON is, else None."""
    if len(value) > MAX_QUICK_BRACKETS and (
        len(value) > MAX_QUICK_BYTES or value.count(b"{") + value.count(b"[") > MAX_QUICK_BRACKETS
    ):
        return None
    try:
        if not value.isascii():
            value.decode()  # msgspec does not look at the bytes of fields that it skips
        return decode(value)
    except UNREADABLE:
        return None


def _is_plain(ref: str) -> bool:
    """Whether a text is certainly within a reference's limits: what is printable is no control character."""
    return ref.isprintable() and (ref.isascii() or len(ref.encode()) <= MAX_REF_BYTES)


def _summed(items: list[_Item]) -> Lines | None:
    """(sku, units) with equal SKUs summed, in first-seen order; None for a SKU that is not plain."""
    if len(items) == 1 and _is_plain(items[0].sku):
        return ((items[0].sku, items[0].quantity),)
    totals: dict[str, int] = {}
    for item in items:
        if not _is_plain(item.sku):
            return None
        totals[item.sku] = totals.get(item.sku, 0) + item.quantity
    return tuple(totals.items())
