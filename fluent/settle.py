"""Settle and release: the hold follows what was sold, and ends; SALE bookings say what was sold.

Values are absolute, so that each write can be repeated. What lowers the stock on sale is written before what
raises it: in no moment is a sold unit on sale again.

Where nobody else books sold units (settlement "sale"), we do before the hold shrinks: one booking per
position, of minus the units sold there. A stock count ends SALE quantities, because the new count contains
what they took; such a booking is over, and only what is sold beyond it is booked, under the next ref.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from fluent.errors import Duplicate, NotSettled, Refused
from fluent.parts import WINDOW, Part, left_by_part, sale_attributes, sold_by_part
from fluent.stock import Stock, all_over, end_all
from streams.ledger.commands import ReleaseConfirmed, ReleaseFailed, SettleConfirmed, SettleFailed
from streams.ledger.fluent_requests import ReleaseRequest, SettleRequest

MAX_ROUNDS = 12
"""Rounds in a row that may pass without a new booking."""

Booking = tuple[str, Coroutine[Any, Any, None]]
"""A write, and the position whose booking it makes right."""


async def settle(stock: Stock, request: SettleRequest, pause_s: float) -> SettleConfirmed | SettleFailed:
    """Makes the hold exactly `remaining` units. Writes quantities only, so it can revive nothing.

    A part that seems to be right, or not to be there, may be so only in a look that lags behind the write
    before: that is believed at a second look. Raises Unanswered when it cannot be known now.
    """
    while True:
        lag_s = stock.lag_s(pause_s)
        parts = stock.ours(await stock.parts())
        live = [part for part in parts if part.live]
        if not live and lag_s:
            await asyncio.sleep(lag_s)
            continue
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
            held = sum(part.units for part in live)
            return _settle_failed(request, f"the hold {stock.stem} still has {held} units: {refusal}")
        if not lag_s or len(changes) == len(live):
            return SettleConfirmed(request.promotion_id, request.sku, request.number, request.remaining)
        await asyncio.sleep(stock.lag_s(pause_s))


def _settle_failed(request: SettleRequest, error: str) -> SettleFailed:
    return SettleFailed(request.promotion_id, request.sku, request.number, error)


async def release(stock: Stock, request: ReleaseRequest, pause_s: float) -> ReleaseConfirmed | ReleaseFailed:
    """Ends the hold; what does not exist is released already, unless it was confirmed, for Fluent deletes
    nothing. Confirms only what a read-back shows.

    Raises Unanswered when it cannot be known now.
    """
    parts = stock.ours(await stock.parts())
    if not parts:
        # Nothing there is believed only at a second look: a hold that has just been written may not show yet.
        await asyncio.sleep(pause_s)
        parts = stock.ours(await stock.parts())
    if not parts and request.confirmed:
        raise NotSettled(
            f"the hold {stock.stem} was confirmed, and nothing is there under its refs: is it another "
            "account, catalogueRef or fluentProfile than when the sale began?"
        )
    try:
        if request.book_sale:
            await book_sales(stock, parts, request.consumed, pause_s)
        await end_all(stock, parts, pause_s)
    except Refused as refusal:
        held = sum(part.units for part in stock.ours(await stock.parts()) if part.live)
        error = f"the hold {stock.stem} cannot be ended: {refusal}"
        return ReleaseFailed(request.promotion_id, request.sku, request.number, held, error)
    return ReleaseConfirmed(request.promotion_id, request.sku, request.number)


async def book_sales(stock: Stock, parts: list[Part], consumed: int, pause_s: float) -> None:
    """Makes the bookings say that `consumed` units are sold. Repeatable.

    As with parts, a booking that seems to be right is believed at a second look, unless it was just written.
    Raises Refused where the profile cannot book or a ref is somebody else's, NotSettled, or what the writes
    raise.
    """
    if not stock.profile.books_sales:
        raise Refused(f'profile {stock.profile.name} cannot book sales: use settlement "order-flow"')
    rounds = known = 0
    written: set[str] = set()
    while rounds < MAX_ROUNDS:
        lag_s = stock.lag_s(pause_s)
        sales = await _own_sales(stock)
        rounds = 0 if len(sales) > known else rounds + 1
        known = len(sales)
        wanted = await _wanted(stock, parts, sales, consumed)
        writes = [
            *_updates(stock, sales, wanted),
            *_creations(stock, sales, wanted),
        ]
        if not writes:
            if not lag_s or written == set(wanted):
                return
            await asyncio.sleep(lag_s)
            continue
        written.update(position for position, _ in writes)
        try:
            await all_over([write for _, write in writes])
        except Duplicate:
            await asyncio.sleep(pause_s)
    raise NotSettled(f"the SALE bookings of {stock.stem} keep changing")


async def sold_units(stock: Stock) -> int:
    """Units that our bookings have taken, ended ones included."""
    return sum(sale.units for sale in stock.our_sales(await stock.sales()))


async def _own_sales(stock: Stock) -> list[Part]:
    sales = await stock.sales()
    ours = stock.our_sales(sales)
    if len(ours) < len(sales):
        raise Refused(f"a ref {stock.stem}-sale… in Fluent belongs to somebody else")
    return ours


async def _wanted(stock: Stock, parts: list[Part], sales: list[Part], consumed: int) -> dict[str, int]:
    """What the live booking of each position has to take."""
    wanted = dict.fromkeys(sorted({sale.position for sale in sales}), 0)
    planned = [part.planned for part in parts]
    for part, sold in zip(parts, sold_by_part(planned, consumed), strict=True):
        wanted[part.position] = wanted.get(part.position, 0) + sold
    surplus = consumed - sum(planned)
    if surplus > 0:
        position = parts[0].position if parts else next(iter(await stock.free()), None)
        if position is None:
            raise Refused(f"SKU {stock.sku} has no position where its sale could be booked")
        wanted[position] = wanted.get(position, 0) + surplus
    for sale in sales:
        if not sale.live:
            wanted[sale.position] -= sale.units
    return wanted


def _updates(stock: Stock, sales: list[Part], wanted: dict[str, int]) -> list[Booking]:
    writes: list[Booking] = []
    done: set[str] = set()
    for sale in sales:
        if not sale.live:
            continue
        units = 0 if sale.position in done else wanted[sale.position]
        done.add(sale.position)
        if sale.units != units:
            writes.append((sale.position, stock.update_sale(sale, units)))
        elif sale.status != stock.profile.active:
            writes.append((sale.position, stock.activate_sale(sale)))
    return writes


def _creations(stock: Stock, sales: list[Part], wanted: dict[str, int]) -> list[Booking]:
    live = {sale.position for sale in sales if sale.live}
    number = max((sale.number for sale in sales), default=0)
    writes: list[Booking] = []
    for position in sorted(wanted):
        # No further than this window of refs; the next round goes on when these are known to exist.
        if wanted[position] and position not in live and (number % WINDOW or not writes):
            number += 1
            attributes = sale_attributes(stock.promotion_id)
            creation = stock.create_sale(number, position, wanted[position], attributes)
            writes.append((position, creation))
    return writes
