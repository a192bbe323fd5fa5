"""Settle and release: the hold follows what was sold, and ends.

Absolute values, so that each can be repeated. What lowers the stock on sale is written before what raises it:
in no moment is a sold unit on sale again.
"""

from __future__ import annotations

import asyncio

from fluent.errors import Refused
from fluent.hold import end_all
from fluent.parts import Part
from fluent.plan import left_by_part
from fluent.sales import book_sales
from fluent.stock import Stock, all_over
from streams.ledger.commands import ReleaseConfirmed, ReleaseFailed, SettleConfirmed, SettleFailed
from streams.ledger.fluent_requests import ReleaseRequest, SettleRequest


async def settle(stock: Stock, request: SettleRequest, pause_s: float) -> SettleConfirmed | SettleFailed:
    """Makes the hold exactly `remaining` units. Writes quantities only, so it can revive nothing.

    Raises Unanswered when it cannot be known now.
    """
    parts = await _settleable(stock, pause_s)
    live = [part for part in parts if part.live]
    held = sum(part.units for part in live)
    if request.remaining and not live:
        state = "is INACTIVE" if parts else "does not exist"
        return _settle_failed(request, f"the hold {stock.stem} {state} in Fluent")
    sizes = left_by_part([part.planned for part in live], request.remaining)
    changes = [(part, size) for part, size in zip(live, sizes, strict=True) if part.units != size]
    try:
        await all_over([stock.resize(part, size) for part, size in changes if size > part.units])
        if request.book_sale:
            await book_sales(stock, parts, request.consumed, pause_s)
        await all_over([stock.resize(part, size) for part, size in changes if size < part.units])
    except Refused as refusal:
        return _settle_failed(request, f"the hold {stock.stem} still has {held} units: {refusal}")
    return SettleConfirmed(request.promotion_id, request.sku, request.number, request.remaining)


def _settle_failed(request: SettleRequest, error: str) -> SettleFailed:
    return SettleFailed(request.promotion_id, request.sku, request.number, error)


async def _settleable(stock: Stock, pause_s: float) -> list[Part]:
    """Our parts; looks twice before it believes that there is nothing to settle."""
    parts = stock.ours(await stock.parts())
    if not any(part.live for part in parts):
        await asyncio.sleep(pause_s)
        parts = stock.ours(await stock.parts())
    return parts


async def release(stock: Stock, request: ReleaseRequest, pause_s: float) -> ReleaseConfirmed | ReleaseFailed:
    """Ends the hold; what does not exist is released already. Confirms only what a read-back shows.

    Raises Unanswered when it cannot be known now.
    """
    parts = stock.ours(await stock.parts())
    if not parts:
        # Nothing there is believed only at a second look: a hold that has just been written may not show yet.
        await asyncio.sleep(pause_s)
        parts = stock.ours(await stock.parts())
    try:
        if request.book_sale:
            await book_sales(stock, parts, request.consumed, pause_s)
        await end_all(stock, parts, pause_s)
    except Refused as refusal:
        held = sum(part.units for part in stock.ours(await stock.parts()) if part.live)
        error = f"the hold {stock.stem} cannot be ended: {refusal}"
        return ReleaseFailed(request.promotion_id, request.sku, request.number, held, error)
    return ReleaseConfirmed(request.promotion_id, request.sku, request.number)
