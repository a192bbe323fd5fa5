"""What is counted of the decisions of one batch, for the metrics."""

from __future__ import annotations

from streams.ledger.commands import LineCancelled, LineDecided
from streams.ledger.effects import Effects
from streams.ledger.inputs import PlaceOrder
from streams.ledger.orders import decide
from streams.ledger.rows import MemoryStore, Rows
from streams.ledger.terms import Source
from tests.streams.ledger.orders.support import PROMOTION, START_MS, WHOLE, Bench


def test_each_outcome_that_the_orders_stage_publishes_is_counted_and_a_repeat_is_none() -> None:
    rows, effects = Rows(MemoryStore()), Effects()
    for offset, ref in enumerate(("ORD-1", "ORD-2", "ORD-3", "ORD-1")):
        source = Source("order-placed", 0, offset)
        lines = (("SKU-1", 2), ("SKU-2", 1))
        decide(rows, PlaceOrder(source, WHOLE, START_MS, ref, PROMOTION, lines, b""), START_MS, effects)
        for sku, quantity in lines:
            refused = "EXHAUSTED" if ref == "ORD-3" and sku == "SKU-2" else ""
            decide(rows, LineDecided(PROMOTION, ref, sku, quantity, refused), START_MS, effects)
    decide(rows, LineCancelled(PROMOTION, "ORD-3", "SKU-1", 1, 2), START_MS, effects)
    assert effects.outcomes == {"ACCEPTED": 2, "REJECTED": 1}


def test_each_dead_letter_of_a_batch_is_counted() -> None:
    bench = Bench()
    bench.place((("SKU-1", 1), ("SKU-2", 1)))
    effects = Effects()
    for offset in (7, 8):
        other = PlaceOrder(
            Source("order-placed", 0, offset), WHOLE, START_MS, "ORD-1", PROMOTION, (("SKU-1", 9),), b""
        )
        decide(bench.rows, other, START_MS, effects)
    assert effects.dead_letters == {"CONFLICT": 2}


def test_units_of_a_batch_are_added_up_and_what_went_down_is_left_out() -> None:
    effects = Effects()
    for units in (3, 1, 0, -2):
        effects.count_units("taken", units)
    effects.count_units("returned", 0)
    assert effects.units == {"taken": 4}
