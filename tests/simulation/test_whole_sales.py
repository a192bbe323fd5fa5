"""Whole sales under virtual time: crashes, lost requests, late writes, stale answers, all audited."""

from __future__ import annotations

import pytest

from tests.simulation.simulation import orders_of, run
from tests.simulation.smaller import shrink

SEEDS = 200
GROUP = 20

FOUND = (1627, 3070, 3729, 4618, 6112, 6273, 6727, 6780, 7229, 7729, 8255, 25762)
"""Seeds of campaigns that found something: docs/proof.md says what."""


@pytest.mark.parametrize("first", range(0, SEEDS, GROUP))
def test_a_sale_adds_up_whatever_goes_wrong(first: int) -> None:
    """One that fails prints itself as a test, with only what it needs to fail."""
    for seed in range(first, first + GROUP):
        try:
            run(seed)
        except Exception as error:
            smaller = shrink(run, seed, orders_of(seed))
            raise AssertionError(f"{error}\n\n{smaller.as_test()}") from error


@pytest.mark.parametrize("seed", FOUND)
def test_a_sale_in_which_something_was_found_adds_up(seed: int) -> None:
    run(seed)


def test_the_same_seed_is_the_same_run() -> None:
    one, two = run(7), run(7)
    assert one.world.broker.logs == two.world.broker.logs


def test_the_runs_contain_what_they_are_meant_to_survive() -> None:
    runs = [run(seed) for seed in range(80)]
    assert sum(one.crashes for one in runs) > 500
    assert sum(one.longest_wait_ms > 60_000 for one in runs) > 5
    assert sum(one.deadlines.in_time for one in runs) > 500
    assert sum(one.deadlines.too_late for one in runs) > 100
    assert sum(one.fluent.late_writes for one in runs) > 5
    assert sum(len(one.report.sale.histories) for one in runs) > 1_000
    sums = [sums for one in runs for sums in one.report.sale.sums.values()]
    assert sum(each.consumed for each in sums) > 300
    assert sum(each.cancelled for each in sums) > 50
    assert sum(each.refused_units for each in sums) > 500
