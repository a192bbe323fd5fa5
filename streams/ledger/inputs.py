"""The input events as commands: what intake makes of them, for the core that decides.

`original` are the bytes as they came in, for a dead letter; `placed_at_ms` is the event's own time.
"""

from __future__ import annotations

import msgspec

from streams.ledger.commands import Lines
from streams.ledger.terms import Source, Terms


class _Event(msgspec.Struct, array_like=True, gc=False):
    source: Source
    terms: Terms
    placed_at_ms: int


class PlaceOrder(_Event):
    """An order event."""

    order_ref: str
    promotion_id: str
    lines: Lines
    original: bytes


class CancelOrder(_Event):
    """A cancel event; `lines` empty means the whole order."""

    order_ref: str
    promotion_id: str
    cancellation_ref: str
    lines: Lines
    original: bytes


class StartPromotion(_Event):
    """A promotion-start event. `expires_at_ms` is 0 and `duration_ms` 0 where the event leaves them out."""

    promotion_id: str
    lines: Lines
    duration_ms: int
    expires_at_ms: int
    attributes: bytes
    original: bytes


class EndPromotion(_Event):
    """A promotion-end event."""

    promotion_id: str
    reason: str
    original: bytes
