"""The record of `order-outcomes`, made in two places by the same functions.

The ledger publishes the outcome of an order of one SKU, the orders stage that of every other. A repeat is
answered by the orders stage whichever of the two published first, so both must give the same bytes for the
same facts: what was asked, what was cancelled of it, why it was refused, when it was decided.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from schemas.reasons import RECOMMENDATIONS, Reason
from schemas.structs import ConsumeResult, OrderOutcome
from schemas.times import iso_utc

ACCEPTED = "ACCEPTED"
PARTIAL = "PARTIAL"
REJECTED = "REJECTED"

_RECOMMENDATIONS: dict[str, str] = {reason.value: text for reason, text in RECOMMENDATIONS.items()}
_CANCELLED = Reason.CANCELLED.value
_iso_utc = lru_cache(maxsize=256)(iso_utc)
# The orders of a batch share a few timestamps.
encode_outcome = msgspec.json.Encoder().encode


def consume_results(sku: str, quantity: int, cancelled: int, reason: str) -> list[ConsumeResult]:
    """What became of a line of `quantity` units, `cancelled` of which the order does not have.

    `reason` is that of the other units, "" where they were taken. A line that was cut in two has two results.
    """
    asked = quantity - cancelled
    results = []
    if asked:
        results.append(ConsumeResult(sku, asked, True) if reason == "" else _refused(sku, asked, reason))
    if cancelled:
        results.append(_refused(sku, cancelled, _CANCELLED))
    return results


def order_outcome(
    order_ref: str, promotion_id: str, results: list[ConsumeResult], decided_at_ms: int
) -> OrderOutcome:
    """The outcome of an order, as its first revision."""
    taken = 0
    for result in results:
        taken += result.consumed
    return OrderOutcome(
        order_ref=order_ref,
        promotion_id=promotion_id,
        outcome=ACCEPTED if taken == len(results) else PARTIAL if taken else REJECTED,
        consume_results=results,
        decided_at=_iso_utc(decided_at_ms),
        revision=1,
    )


def _refused(sku: str, quantity: int, reason: str) -> ConsumeResult:
    return ConsumeResult(sku, quantity, False, reason, _RECOMMENDATIONS[reason])
