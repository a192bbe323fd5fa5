"""The parts of an outcome record that come of an order's lines and of a cancel's asks."""

from __future__ import annotations

from schemas.structs import CancelResult, ConsumeResult
from streams.ledger import outcomes
from streams.ledger.orders.state import CANCELLED, Cancellation, Line


def consume_results(lines: dict[str, Line]) -> list[ConsumeResult]:
    """The lines in the event's order; a line that an earlier cancel cut has a second result for that part."""
    results: list[ConsumeResult] = []
    for sku, line in lines.items():
        reason = CANCELLED if line.reason is None else line.reason
        results += outcomes.consume_results(sku, line.quantity, line.withheld, reason)
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
