"""What a long sale sends has events of every kind."""

from __future__ import annotations

from itertools import islice

from schemas.topics import ORDER_CANCELLED, ORDER_PLACED
from tests.faults.long_sale.events import POISONED, REPEATED, UNITS_AN_ORDER, events, stock_for


def test_a_sale_has_events_of_every_kind_and_is_the_same_for_the_same_seed() -> None:
    made = list(events(2_000, 13))
    assert made == list(events(2_000, 13)) != list(events(2_000, 14))
    values = [event.value for event in made]
    assert len(values) - len(set(values)) > 2_000 * REPEATED / 2
    assert sum(b"ref" not in value for value in values) > 2_000 * POISONED / 3
    assert {event.topic for event in made} == {ORDER_PLACED, ORDER_CANCELLED}
    kinds = {(event.key or b"-")[:1] for event in islice(made, 200)}
    assert kinds >= {b"O", b"C", b"-"}


def test_some_skus_of_a_sale_sell_out_and_none_has_nothing() -> None:
    stock = stock_for(2_000).values()
    assert min(stock) > 0 and sum(stock) < 2_000 * UNITS_AN_ORDER
