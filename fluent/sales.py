"""SALE bookings: where nobody else books sold units (settlement "sale"), we do before the hold shrinks.

One booking per position, absolute: minus the units sold there. A stock count ends SALE quantities, for what
they took is in the new count; such a booking is over, and only what is sold beyond it is booked, under the
next ref.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from fluent.errors import Duplicate, NotSettled, Refused
from fluent.parts import WINDOW, Part, sale_attributes
from fluent.plan import sold_by_part
from fluent.stock import Stock, all_over

MAX_ROUNDS = 12
"""So many rounds in a row that add no booking."""

Write = Coroutine[Any, Any, None]


async def book_sales(stock: Stock, parts: list[Part], consumed: int, pause_s: float) -> None:
    """Makes the bookings say that `consumed` units are sold. Repeatable.

    Raises Refused where the profile cannot book or a ref is somebody else's, NotSettled, or what the writes
    raise.
    """
    if not stock.profile.books_sales:
        raise Refused(f'profile {stock.profile.name} cannot book sales: use settlement "order-flow"')
    rounds = known = 0
    while rounds < MAX_ROUNDS:
        sales = await _own_sales(stock)
        rounds = 0 if len(sales) > known else rounds + 1
        known = len(sales)
        wanted = await _wanted(stock, parts, sales, consumed)
        writes = [
            *_updates(stock, sales, wanted),
            *_creations(stock, sales, wanted),
        ]
        if not writes:
            return
        try:
            await all_over(writes)
        except Duplicate:
            await asyncio.sleep(pause_s)
    raise NotSettled(f"the SALE bookings of {stock.stem} do not come to rest")


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


def _updates(stock: Stock, sales: list[Part], wanted: dict[str, int]) -> list[Write]:
    writes: list[Write] = []
    done: set[str] = set()
    for sale in sales:
        if not sale.live:
            continue
        units = 0 if sale.position in done else wanted[sale.position]
        done.add(sale.position)
        if sale.units != units:
            writes.append(stock.update_sale(sale, units))
        elif sale.status != stock.profile.active:
            writes.append(stock.activate_sale(sale))
    return writes


def _creations(stock: Stock, sales: list[Part], wanted: dict[str, int]) -> list[Write]:
    live = {sale.position for sale in sales if sale.live}
    number = max((sale.number for sale in sales), default=0)
    writes: list[Write] = []
    for position in sorted(wanted):
        # No further than this window of refs; the next round goes on when these are known to exist.
        if wanted[position] and position not in live and (number % WINDOW or not writes):
            number += 1
            attributes = sale_attributes(stock.promotion_id)
            writes.append(stock.create_sale(number, position, wanted[position], attributes))
    return writes
