"""Which products are on sale, in which promotion, and how many units a buyer would set aside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rehearsal.demo.invoices import Invoice

PROMOTIONS = 3
PRODUCTS = 36
"""Enough that most baskets hold some of them, few enough that they sell out."""

SHARE = 0.6
"""Units set aside, as a part of the demand: a flash sale that everybody leaves satisfied was too long."""

STOCK_FACTOR = 2
"""The warehouse has this many times what is set aside: what is not in the sale stays on sale elsewhere."""

LOCATIONS = ("LEICESTER", "NORTHAMPTON")


@dataclass(frozen=True, slots=True)
class Promotion:
    """A sale: units set aside by product. `expires`: it ends by its deadline, not by promotion-end."""

    id: str
    units: Mapping[str, int]
    expires: bool = False


def choose_products(invoices: Sequence[Invoice]) -> list[str]:
    """The products on sale, best first: those of cancellations, then those in the most baskets."""
    baskets: Counter[str] = Counter()
    for invoice in invoices:
        if not invoice.cancels:
            baskets.update({line.sku for line in invoice.lines})
    given_back = {line.sku for invoice in invoices if invoice.cancels for line in invoice.lines}
    ranked = sorted(baskets, key=lambda sku: (sku not in given_back, -baskets[sku], sku))
    return ranked[:PRODUCTS]


def demand_of(invoices: Iterable[Invoice]) -> Counter[str]:
    """Units that were bought, by product."""
    demand: Counter[str] = Counter()
    for invoice in invoices:
        for line in invoice.lines:
            demand[line.sku] += 0 if invoice.cancels else line.quantity
    return demand


def deal(products: Sequence[str]) -> dict[str, list[str]]:
    """Promotions' ids and products: dealt out in turn, so that what is often bought together lies apart."""
    hands = [list(products[start::PROMOTIONS]) for start in range(PROMOTIONS)]
    return {f"FLASH-{number}": hand for number, hand in enumerate(hands, 1) if hand}


def promotions_for(demand: Mapping[str, Mapping[str, int]]) -> tuple[Promotion, ...]:
    """A promotion for each id in `demand` (units by product); the last of several expires."""
    last = list(demand)[-1]
    return tuple(
        Promotion(name, units_of(asked), expires=name == last and len(demand) > 1)
        for name, asked in demand.items()
    )


def units_of(demand: Mapping[str, int]) -> dict[str, int]:
    """Fewer units than the demand, together: `SHARE` of it.

    A buyer knows how much a whole promotion will sell better than which product will. So half of the units
    follow the demand, and half are spread evenly: some products sell out early and others are left over.
    """
    average = sum(demand.values()) / len(demand)
    return {sku: max(1, int(SHARE * (units + average) / 2)) for sku, units in demand.items()}


def stock_for(promotions: Iterable[Promotion]) -> dict[str, dict[str, int]]:
    """Stock by product and location, as the Fluent simulator reads it."""
    total: Counter[str] = Counter()
    for promotion in promotions:
        total.update(promotion.units)
    stock = {}
    for sku, units in total.items():
        first = units * STOCK_FACTOR * 3 // 5
        stock[sku] = dict(zip(LOCATIONS, (first, units * STOCK_FACTOR - first), strict=True))
    return stock
