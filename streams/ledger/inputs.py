"""The input events as commands: what intake makes of them, for the core that decides.

`original` are the bytes as they came in, for a dead letter; `placed_at_ms` is the event's own time.
"""

from __future__ import annotations

import msgspec

from streams.ledger.commands import Lines
from streams.ledger.terms import Source, Terms


class PlaceOrder(msgspec.Struct, array_like=True, gc=False):
    """An order event."""

    source: Source
    terms: Terms
    placed_at_ms: int
    order_ref: str
    promotion_id: str
    lines: Lines
    original: bytes


class CancelOrder(msgspec.Struct, array_like=True, gc=False):
    """A cancel event; `lines` empty means the whole order."""

    source: Source
    terms: Terms
    placed_at_ms: int
    order_ref: str
    promotion_id: str
    cancellation_ref: str
    lines: Lines
    original: bytes


class StartPromotion(msgspec.Struct, array_like=True, gc=False):
    """A promotion-start event. `expires_at_ms` is 0 and `duration_ms` 0 where the event leaves them out."""

    source: Source
    terms: Terms
    placed_at_ms: int
    promotion_id: str
    lines: Lines
    duration_ms: int
    expires_at_ms: int
    attributes: bytes
    original: bytes


class EndPromotion(msgspec.Struct, array_like=True, gc=False):
    """A promotion-end event."""

    source: Source
    terms: Terms
    placed_at_ms: int
    promotion_id: str
    reason: str
    original: bytes
