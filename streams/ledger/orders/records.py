"""The outcome record: its JSON as in the contract, from an order's lines and a cancel's asks."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from schemas.reasons import RECOMMENDATIONS
from schemas.structs import CancelResult, ConsumeResult
from streams.ledger.effects import iso_utc
from streams.ledger.orders.state import CANCELLED, Cancellation, Line

_RECOMMENDATIONS: dict[str, str] = {reason.value: text for reason, text in RECOMMENDATIONS.items()}
iso_utc_cached = lru_cache(maxsize=256)(iso_utc)
"""The orders of a batch share a few timestamps."""
encode_outcome = msgspec.json.Encoder().encode


def _refused(sku: str, quantity: int, reason: str) -> ConsumeResult:
    return ConsumeResult(sku, quantity, False, reason, _RECOMMENDATIONS[reason])


def consume_results(lines: dict[str, Line]) -> list[ConsumeResult]:
    """The lines in the event's order; a line that an earlier cancel cut has a second result for that part."""
    results: list[ConsumeResult] = []
    for sku, line in lines.items():
        if line.reason == "":
            results.append(ConsumeResult(sku, line.quantity - line.withheld, True))
        elif line.claimed:
            results.append(_refused(sku, line.claimed, line.reason or CANCELLED))
        if line.withheld:
            results.append(_refused(sku, line.withheld, CANCELLED))
    return results


def cancel_results(cancellation: Cancellation) -> list[CancelResult]:
    """The lines of a cancel as asked; should the ledger hold less than the order says, the rest apart."""
    results: list[CancelResult] = []
    for sku, ask in cancellation.asks.items():
        given = ask.given or 0
        if given:
            results.append(CancelResult(sku, given, True))
        if given < ask.quantity:
            results.append(CancelResult(sku, ask.quantity - given, False, ask.reason or CANCELLED))
    return results
