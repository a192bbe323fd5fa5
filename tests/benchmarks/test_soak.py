"""`make soak`: whether anything grows, in words; and a short one on a real broker."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.result import Arena
from benchmarks.soak.__main__ import lacking_bytes, markdown, plot
from benchmarks.soak.hold import Held, Plan, hold
from benchmarks.soak.verdict import Finding, Sample, judge
from tests.support.kafka import KafkaUnderTest

SECONDS, RATE = 30.0, 100.0


def samples(*, rss: float = 1.0, files: float = 1.0, lag: float = 1.0) -> list[Sample]:
    """A hundred seconds in which figures come to so many times what they were at the beginning."""

    def grown(value: float, times: float, at_s: int) -> float:
        return value * (1 + (times - 1) * at_s / 100)

    return [
        Sample(
            at_s,
            grown(300.0, rss, at_s),
            round(grown(100, files, at_s)),
            disk_mb=0.001 * at_s,
            events=10 * at_s,
            unanswered=round(grown(50, lag, at_s)),
        )
        for at_s in range(100)
    ]


def verdicts(found: list[Finding]) -> dict[str, str]:
    return {finding.name: finding.word for finding in found}


def test_what_stays_the_same_is_flat_and_disk_may_grow_with_what_is_kept() -> None:
    assert set(verdicts(judge(samples(), {})).values()) == {"flat"}


@pytest.mark.parametrize(
    ("name", "grown"),
    [("memory", samples(rss=2.0)), ("open files", samples(files=3.0)), ("lag", samples(lag=30.0))],
)
def test_what_grows_is_named_with_both_figures(name: str, grown: list[Sample]) -> None:
    found = judge(grown, {})
    assert [finding.name for finding in found if not finding.good] == [name]
    (told,) = (str(finding) for finding in found if not finding.good)
    assert told.startswith("GROWS  " + name) and "in the second quarter" in told


def test_what_stays_below_what_caches_may_take_is_flat() -> None:
    assert verdicts(judge(samples(rss=2.0), {"memory": 700.0}))["memory"] == "flat"
    assert verdicts(judge(samples(rss=2.0), {"memory": 400.0}))["memory"] == "GROWS"


def test_a_soak_for_which_the_disk_is_too_small_is_not_begun(tmp_path: Path) -> None:
    assert lacking_bytes(Plan(60.0, 1.0), tmp_path) == 0
    assert lacking_bytes(Plan(3_600.0, 1e9), tmp_path) > 1e12


def test_the_page_gets_the_verdicts_and_a_plot_of_each_figure() -> None:
    held = Held(judge(samples(rss=2.0), {}), samples(rss=2.0))
    assert not held.good
    assert "| memory | GROWS |" in markdown(Plan(60.0, 100.0), held)
    assert plot(held).count("<path d=") == 4 * 4, "a line and three of the grid in each"


@pytest.mark.parametrize("seconds", [30.0, 60.0, 240.0])
def test_the_quarters_of_a_short_soak_that_are_compared_have_the_same_sales_and_rebalances(
    seconds: float,
) -> None:
    plan = Plan(seconds, RATE)

    def events(quarter: int) -> tuple[list[float], list[float]]:
        """When, in this quarter, sales begin and the second worker joins."""
        begins_s, ends_s = (quarter - 1) * seconds / 4, quarter * seconds / 4
        joins_s = plan.rebalance_s / 2
        sales = [n * plan.sale_s - begins_s for n in range(100) if begins_s <= n * plan.sale_s < ends_s]
        joins = [
            at_s - begins_s
            for n in range(100)
            if begins_s <= (at_s := joins_s + n * plan.rebalance_s) < ends_s
        ]
        return sales, joins

    assert events(2) == events(4)
    assert all(events(2))


@pytest.mark.kafka
@pytest.mark.slow
def test_in_half_a_minute_of_sales_and_rebalances_nothing_grows_and_every_event_is_answered(
    kafka: KafkaUnderTest, tmp_path: Path
) -> None:
    held = hold(Arena(kafka.bootstrap, os.getpid(), tmp_path), Plan(SECONDS, RATE))
    print(*held.findings, sep="\n")
    found = {finding.name: finding.good for finding in held.findings}
    # How long orders wait in half a minute says how fast the machine is; that none waits for ever, "answers".
    found.pop("lag")
    assert found == dict.fromkeys(("memory", "open files", "disk", "answers", "reports"), True)
