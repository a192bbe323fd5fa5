"""Verify: what Fluent really holds for one reservation, compared with what the ledger says.

Of a closed reservation nothing may be live. What is, came late (a write that was under way when the hold
ended: LATE_ACTIVATION) and is undone. An open one is compared only: which side is right is not for us to
decide here.
"""

from __future__ import annotations

import asyncio

from fluent.errors import Refused
from fluent.parts import Part
from fluent.settle import sold_units
from fluent.stock import Stock, end_all
from schemas.drift import DriftKind
from streams.ledger.commands import Verified
from streams.ledger.fluent_requests import VerifyRequest
from streams.log import get_logger

log = get_logger("fluent")

Drift = tuple[int, DriftKind | None]
"""(units, kind); units 0 is agreement."""


async def verify(stock: Stock, request: VerifyRequest, pause_s: float) -> Verified:
    """Looks, and looks again before it reports anything. Raises Unanswered when it cannot be known now."""
    if request.closed:
        return await _verify_closed(stock, request, pause_s)
    held, drift = await _open_drift(stock, request)
    if drift[0]:
        await asyncio.sleep(pause_s)
        held, drift = await _open_drift(stock, request)
    return _verified(request, held, drift)


def _verified(request: VerifyRequest, held: int, drift: Drift, corrected: int = 0) -> Verified:
    units, kind = drift
    if units and request.closed:
        log.warning(
            "fluent_drift", promotion=request.promotion_id, sku=request.sku, kind=kind, units=units,
            corrected_units=corrected, recommendation="none: the ledger reports it as drift, with the remedy",
        )  # fmt: skip
    return Verified(
        request.promotion_id, request.sku, request.number, held, units, kind if units else None, corrected
    )


async def _verify_closed(stock: Stock, request: VerifyRequest, pause_s: float) -> Verified:
    parts, drift = await _closed_drift(stock, request)
    if drift[0]:
        await asyncio.sleep(pause_s)
        parts, drift = await _closed_drift(stock, request)
    units = sum(part.units for part in parts if part.live)
    try:
        await end_all(stock, parts, pause_s)
    except Refused:
        return _verified(request, units, (units, DriftKind.RELEASE_REFUSED))
    return _verified(request, 0, drift, corrected=units)


async def _closed_drift(stock: Stock, request: VerifyRequest) -> tuple[list[Part], Drift]:
    parts = stock.ours(await stock.parts())
    drift: Drift = sum(part.units for part in parts if part.live), DriftKind.LATE_ACTIVATION
    if not drift[0]:
        drift = await _others(stock, parts, DriftKind.ORPHAN_HOLD)
    if not drift[0]:
        drift = await _sales_drift(stock, request)
    return parts, drift


async def _open_drift(stock: Stock, request: VerifyRequest) -> tuple[int, Drift]:
    parts = await stock.parts()
    ours = stock.ours(parts)
    live = [part for part in ours if part.live]
    held = sum(part.units for part in live)
    drift = await _others(stock, ours, DriftKind.DUPLICATE)
    if not drift[0]:
        drift = _open_difference(ours, live, held, request.held)
    if not drift[0]:
        drift = await _sales_drift(stock, request)
    return held, drift


def _open_difference(ours: list[Part], live: list[Part], held: int, expected: int) -> Drift:
    units = abs(held - expected)
    if not units:
        return 0, None
    if not ours:
        return units, DriftKind.MISSING_HOLD
    changed = len(live) < len(ours) or any(part.units > part.planned for part in live)
    return units, DriftKind.FOREIGN_CHANGE if changed else DriftKind.WRONG_QUANTITY


async def _others(stock: Stock, parts: list[Part], kind: DriftKind) -> Drift:
    """Holds for this promotion at the same positions under refs that are not ours, so we leave them alone:
    duplicates of an open hold, orphans of a closed one."""
    others = await stock.foreign_holds(sorted({part.position for part in parts}))
    return sum(part.units for part in others), kind


async def _sales_drift(stock: Stock, request: VerifyRequest) -> Drift:
    if not request.book_sale or not stock.profile.books_sales:
        return 0, None
    return abs(request.consumed - await sold_units(stock)), DriftKind.WRONG_QUANTITY
