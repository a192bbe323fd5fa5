"""A seed that fails is made smaller, and prints itself as a test."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from tests.simulation.simulation import orders_of, run
from tests.simulation.smaller import EVERYTHING, shrink
from tests.simulation.worlds import Kind

ORDERS = 64


def fails_of(*needed: int, trouble: str, says: str = "no sku is oversold: 3 units of A") -> object:
    """A run that fails with these orders, unless that trouble is left out."""

    def run(seed: int, *, without: Collection[str], orders: Collection[int]) -> None:
        if trouble not in without and set(needed) <= set(orders):
            raise AssertionError(f"{says}, seed {seed}, {len(orders)} orders")
        if len(orders) == 1:
            raise AssertionError("another failure")

    return run


@pytest.mark.parametrize("needed", [(), (0,), (3, 17), (1, 2, 3, 62), tuple(range(ORDERS))])
def test_only_what_is_needed_for_a_failure_is_left(needed: tuple[int, ...]) -> None:
    found = shrink(fails_of(*needed, trouble="crash_rate"), 4, ORDERS)  # type: ignore[arg-type]
    assert found.orders == needed
    assert set(EVERYTHING) - set(found.without) == {"crash_rate"}
    assert found.as_test().splitlines()[-1].strip() == f"run(4, without={found.without}, orders={needed})"


def test_a_seed_that_does_not_fail_is_not_made_smaller() -> None:
    with pytest.raises(ValueError, match="does not fail"):
        shrink(fails_of(ORDERS, trouble="crash_rate"), 4, ORDERS)  # type: ignore[arg-type]


def test_an_order_is_the_same_whichever_others_there_are() -> None:
    """Else a smaller sale would be another sale."""
    few = [0, orders_of(5) - 1]
    whole, smaller = run(5), run(5, orders=few)
    events = {event.original for event in smaller.world.sent.values()}
    assert events <= {event.original for event in whole.world.sent.values()}
    assert len(smaller.report.sale.histories) == len(few) < len(whole.report.sale.histories)


@pytest.mark.parametrize("name", EVERYTHING)
def test_a_sale_goes_on_without_any_of_its_troubles(name: str) -> None:
    run(5, without=[name])


def test_what_cannot_be_left_out_is_said_to() -> None:
    with pytest.raises(ValueError, match="bad luck"):
        run(5, without=["bad luck"])


def test_everything_that_can_go_wrong_can_be_left_out() -> None:
    """But for the size of a world, and for its terms, which are no trouble."""
    known = {"terms", "lasts_ms", "orders", "habits"}
    assert set(Kind.__dataclass_fields__) - known <= set(EVERYTHING)
