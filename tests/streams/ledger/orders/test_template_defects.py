"""What the template got wrong about orders, one test each, named after the defect."""

from __future__ import annotations

import json

import pytest

from schemas.invalid import InvalidEvent
from schemas.parsing import parse
from schemas.reasons import RECOMMENDATIONS, Reason
from streams.ledger.commands import Claim
from tests.streams.ledger.orders.support import Bench, asked, dead_letters, only_outcome, outcomes, plain


def test_no_order_dedupe() -> None:
    """The template took units for each delivery of the same order; here a repeat only repeats the answer."""
    bench = Bench()
    first = bench.accepted((("SKU-1", 2),))
    for _ in range(3):
        sends = bench.place((("SKU-1", 2),))
        assert not any(isinstance(command, Claim) for command in asked(sends))
        assert only_outcome(sends) == first
    assert sum(isinstance(command, Claim) for command in asked(bench.sent)) == 1


@pytest.mark.parametrize("quantity", [-2, 0, 2.0, "2", True, None])
@pytest.mark.parametrize("topic", ["order-placed", "order-cancelled"])
def test_a_negative_quantity_adds_stock(topic: str, quantity: object) -> None:
    """The template subtracted whatever number came; here an order of -2 units is a dead letter, not stock."""
    items = [{"sku": "SKU-1", "quantity": quantity}]
    value = json.dumps({"order": {"ref": "ORD-1", "promotionId": "FLASH-1", "items": items}}).encode()
    with pytest.raises(InvalidEvent, match=r"order\.items\[0\]\.quantity"):
        parse(topic, value)


def test_partial_failure_is_status_200_with_no_reason() -> None:
    """The template answered 200 with `consumed: false`; here the outcome says PARTIAL, why and what to do."""
    bench = Bench()
    bench.place((("SKU-1", 2), ("SKU-2", 1)))
    bench.decided("SKU-1", 2)
    outcome = only_outcome(bench.decided("SKU-2", 1, "EXHAUSTED"))
    assert outcome["outcome"] == "PARTIAL"
    assert outcome["consumeResults"] == [
        {"sku": "SKU-1", "quantity": 2, "consumed": True},
        {
            "sku": "SKU-2",
            "quantity": 1,
            "consumed": False,
            "reason": "EXHAUSTED",
            "recommendation": RECOMMENDATIONS[Reason.EXHAUSTED],
        },
    ]


def test_one_error_stops_the_rest() -> None:
    """In the template the first failing line or order ended the loop; here each has its own answer."""
    bench = Bench()
    lines = (("SKU-1", 2), ("SKU-2", 1), ("SKU-3", 4))
    bench.place(lines)
    bench.place((("SKU-1", 9),), ref="ORD-2")
    assert len(dead_letters(bench.place((("SKU-1", 7),), ref="ORD-2"))) == 1
    assert [plain(command)[1:3] for command in asked(bench.sent)] == [*lines, ("SKU-1", 9)]
    sends = [
        *bench.decided("SKU-1", 2, "EXPIRED"),
        *bench.decided("SKU-2", 1),
        *bench.decided("SKU-1", 9, "EXHAUSTED", ref="ORD-2"),
        *bench.decided("SKU-3", 4),
    ]
    assert [
        (outcome["orderRef"], [line["consumed"] for line in outcome["consumeResults"]])
        for outcome in outcomes(sends)
    ] == [("ORD-2", [False]), ("ORD-1", [False, True, True])]
