"""Delays between starts grow, are bounded and jittered, and become short again after a healthy time."""

from __future__ import annotations

import pytest

from flashsale.supervisor.supervise import HEALTHY_S, MAX_DELAY_S, MIN_DELAY_S, Backoff


def test_delays_double_up_to_the_bound() -> None:
    longest = Backoff(choose=lambda _low, high: high)
    assert [longest.delay_s(1) for _ in range(9)] == [0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 15, 15, 15]


def test_jitter_never_leaves_the_bounds() -> None:
    backoff = Backoff()
    delays = [backoff.delay_s(1) for _ in range(200)]
    assert all(MIN_DELAY_S <= delay <= MAX_DELAY_S for delay in delays)
    assert len(set(delays)) > 100


@pytest.mark.parametrize(("lived_s", "expected"), [(HEALTHY_S, 0.4), (HEALTHY_S - 1, 12.8)])
def test_a_healthy_minute_makes_the_next_delay_short(lived_s: float, expected: float) -> None:
    longest = Backoff(choose=lambda _low, high: high)
    for _ in range(5):
        longest.delay_s(1)
    assert longest.delay_s(lived_s) == expected
