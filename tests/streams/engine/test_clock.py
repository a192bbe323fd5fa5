"""The brokers' time is known from append times; the worker's own wall clock has no part in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.engine.clock import FRESH_S, BrokerClock, ahead_ms

APART_MS = 1_700_000_000_000
"""The brokers' time at monotonic time 0."""


def test_nothing_is_known_before_the_first_append_time() -> None:
    clock = BrokerClock()
    assert clock.now_ms(5.0) is None
    assert not clock.fresh(5.0)


def test_the_monotonic_clock_goes_on_from_the_last_append_time() -> None:
    clock = BrokerClock()
    clock.heard(APART_MS, 0.0, 0.25)
    assert clock.now_ms(0.25) == APART_MS
    assert clock.now_ms(10.25) == APART_MS + 10_000


def test_a_quick_answer_corrects_a_slow_one_and_a_slow_one_changes_nothing() -> None:
    clock = BrokerClock()
    clock.heard(APART_MS + 100, 0.0, 4.0)
    assert clock.now_ms(4.0) == APART_MS + 100
    clock.heard(APART_MS + 5_001, 5.0, 5.002)
    assert clock.now_ms(6.0) == APART_MS + 5_999
    clock.heard(APART_MS + 6_100, 6.0, 9.0)
    assert clock.now_ms(9.0) == APART_MS + 8_999


def test_a_clock_that_was_set_back_is_followed() -> None:
    clock = BrokerClock()
    clock.heard(APART_MS, 0.0, 0.001)
    clock.heard(APART_MS - 60_000, 1.0, 1.001)
    assert clock.heard_ms == APART_MS - 60_000
    assert clock.now_ms(1.001) == APART_MS - 60_000 + 2


def test_what_was_heard_long_ago_is_not_fresh() -> None:
    clock = BrokerClock()
    clock.heard(APART_MS, 0.0, 1.0)
    assert clock.fresh(FRESH_S)
    assert not clock.fresh(1.0 + FRESH_S)


@given(st.lists(st.tuples(st.floats(0, 60), st.floats(0, 5), st.floats(0, 5)), min_size=1, max_size=20))
def test_it_is_never_ahead_of_the_brokers_and_behind_by_the_quickest_round_trip_at_most(
    answers: list[tuple[float, float, float]],
) -> None:
    clock, now, known = BrokerClock(), 0.0, 0
    for pause_s, there_s, back_s in answers:
        sent_at = now + pause_s
        now = sent_at + there_s + back_s
        clock.heard(APART_MS + int((sent_at + there_s) * 1_000), sent_at, now)
        known = clock.now_ms(now) or 0
        assert known <= APART_MS + now * 1_000 + 1
    quickest_ms = min((there_s + back_s) * 1_000 for _, there_s, back_s in answers)
    assert known >= APART_MS + now * 1_000 - quickest_ms - 3


@pytest.mark.parametrize(
    ("sent_ms", "heard_ms", "ahead"),
    [(90, 110, 0), (100, 100, 0), (101, 103, 0), (102, 105, 1), (105, 109, 4), (80, 95, -5), (80, 99, -1)],
)
def test_a_wall_clock_is_ahead_or_behind_by_what_no_round_trip_explains(
    sent_ms: int, heard_ms: int, ahead: int
) -> None:
    """An append time is cut to the millisecond, so it may be almost one later than it says."""
    assert ahead_ms(100, sent_ms, heard_ms) == ahead
