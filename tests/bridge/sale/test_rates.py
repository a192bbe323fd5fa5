"""Orders over time in a bounded number of buckets."""

from __future__ import annotations

from bridge.sale.rates import MOST_BUCKETS, SPEED_TICKS, Rates


def counted(*seconds: int, reason: str = "") -> Rates:
    """One order in each of these seconds."""
    rates = Rates()
    for second in seconds:
        rates.count(second * 1_000, reason, is_new=True)
    return rates


def test_a_short_sale_has_a_bucket_for_each_second() -> None:
    rates = counted(100, 100, 102)
    rates.count(102_000, "EXHAUSTED", is_new=True)
    assert rates.width_s == 1
    assert rates.buckets() == [(100, {"": 2}), (102, {"": 1, "EXHAUSTED": 1})]


def test_a_long_sale_has_fewer_and_wider_ones_and_loses_no_order() -> None:
    rates = counted(*range(1_000, 1_000 + 10 * MOST_BUCKETS))
    assert rates.width_s == 16 and len(rates.buckets()) <= MOST_BUCKETS
    assert sum(answers[""] for _, answers in rates.buckets()) == 10 * MOST_BUCKETS
    assert all(begin % 16 == 0 for begin, _ in rates.buckets())


def test_what_comes_late_goes_where_it_belongs() -> None:
    rates = counted(1_000, 990)
    assert [begin for begin, _ in rates.buckets()] == [990, 1_000]
    assert len(counted(10_000, 1).buckets()) == 2


def test_only_buckets_that_changed_are_told_until_the_width_is_another() -> None:
    rates = counted(10, 11)
    assert rates.changes() == (True, [(10, {"": 1}), (11, {"": 1})])
    rates.count(11_000, "", is_new=True)
    assert rates.changes() == (False, [(11, {"": 2})])
    assert not rates.has_changes
    assert rates.changes() == (False, [])
    rates.count((10 + MOST_BUCKETS) * 1_000, "", is_new=True)
    whole, buckets = rates.changes()
    assert whole and [begin for begin, _ in buckets] == [10, 10 + MOST_BUCKETS]


def test_the_speed_is_an_average_of_the_last_seconds_without_what_was_read_from_the_past() -> None:
    rates = counted(*[10] * 20)
    rates.count(9_000, "", is_new=False)
    assert rates.tick() and rates.per_second == 20
    rates.tick()
    assert rates.per_second == 10
    for _ in range(SPEED_TICKS - 1):
        rates.tick()
    assert rates.per_second == 0 and not rates.tick()
