"""What a reader makes of when records were committed."""

from __future__ import annotations

from benchmarks.reader import Committed


def test_the_rate_of_the_second_half_counts_what_came_after_the_first() -> None:
    assert Committed(at=110.0, half_at=106.0, half=0.6).later_rate(100.0, 1_000) == 100.0


def test_when_one_look_saw_both_halves_the_rate_is_that_of_the_whole() -> None:
    assert Committed(at=110.0, half_at=110.0, half=1.0).later_rate(100.0, 1_000) == 100.0
