"""Whoever ordered in time is decided as in time, however far the workers are behind."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import pytest

from tests.support.audit import audit, promotion_start
from tests.support.deadlines import (
    KEYS,
    TAKEN,
    Deadline,
    answers,
    nothing_is_released,
    open_transaction,
    orders,
    place,
    released_after_s,
    started,
)
from tests.support.kafka import KafkaUnderTest
from tests.support.system import System, system, wait_until

SKUS = [f"SKU-{i}" for i in range(10)]
STOCK = {sku: {"LOC-1": 20_000} for sku in SKUS}


@pytest.fixture
def sale(kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path) -> Iterator[System]:
    with system(kafka.bootstrap, topic_prefix, tmp_path, STOCK, partitions=4) as built:
        yield built


@pytest.mark.parametrize("key", KEYS)
def test_twenty_thousand_orders_that_waited_past_the_deadline_are_decided_as_in_time(
    sale: System, key: str
) -> None:
    worker = sale.start_worker()
    deadline = Deadline.within(15)
    started(sale, dict.fromkeys(SKUS, 1_500), deadline)
    assert worker.terminate() == 0
    place(sale, orders("O", 20_000, SKUS), KEYS[key])
    deadline.wait(0.05)
    place(sale, orders("LATE", 500, SKUS), KEYS[key])
    deadline.wait(2)
    sale.start_worker()
    sale.wait_for("order-outcomes", 20_500, 120)
    found = answers(sale, deadline.ms)
    assert found.in_time == {TAKEN: 15_000, "EXHAUSTED": 5_000}
    assert found.late == {"EXPIRED": 500}
    assert audit(sale).answered_twice() == []
    releases = sale.wait_for("reservation-releases", len(SKUS))
    assert {(m.json["consumed"], m.json["released"], m.json["cause"]) for m in releases} == {
        (1_500, 0, "EXPIRED")
    }


def test_thirty_thousand_orders_in_the_last_two_seconds_are_all_in_time(sale: System) -> None:
    sale.start_worker()
    deadline = Deadline.within(8)
    started(sale, dict.fromkeys(SKUS, 4_000), deadline)
    last = orders("O", 30_000, SKUS)
    deadline.wait(-2)
    place(sale, last)
    deadline.wait(0.01)
    place(sale, orders("LATE", 300, SKUS))
    sale.wait_for("order-outcomes", 30_300, 120)
    found = answers(sale, deadline.ms)
    assert found.in_time[TAKEN] > 10_000
    assert set(found.in_time) == {TAKEN}
    assert set(found.late) == {"EXPIRED"}
    consumed = sum(m.json["consumed"] for m in sale.wait_for("reservation-releases", len(SKUS)))
    assert consumed == found.in_time[TAKEN]


def test_orders_in_a_strangers_open_transaction_are_waited_for_and_taken(sale: System) -> None:
    sale.start_worker()
    deadline = Deadline.within(6)
    started(sale, dict.fromkeys(SKUS, 100), deadline)
    with open_transaction(sale, orders("OPEN", 50, SKUS)) as stranger:
        place(sale, orders("BEHIND", 100, SKUS))
        deadline.wait(0.05)
        place(sale, orders("LATE", 20, SKUS))
        nothing_is_released(sale, 2)
        stranger.commit_transaction(20)
    sale.wait_for("order-outcomes", 170)
    found = answers(sale, deadline.ms)
    assert found.in_time == {TAKEN: 150}
    assert found.late == {"EXPIRED": 20}
    assert sum(m.json["consumed"] for m in sale.wait_for("reservation-releases", len(SKUS))) == 150


def test_an_aborted_transaction_at_the_end_of_a_log_holds_nothing_up(sale: System) -> None:
    sale.start_worker()
    deadline = Deadline.within(6)
    started(sale, dict.fromkeys(SKUS, 100), deadline)
    with open_transaction(sale, orders("NEVER", 50, SKUS)) as stranger:
        deadline.wait(-0.5)
        stranger.abort_transaction(20)
    assert all(0 < after_s < 2 for after_s in released_after_s(sale, deadline.ms, len(SKUS)))
    assert sale.read("order-outcomes") == []


def test_after_the_longest_backlog_units_are_released_and_the_partition_that_held_them_is_named(
    kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path
) -> None:
    with system(kafka.bootstrap, topic_prefix, tmp_path, STOCK, maxBacklogSeconds=3) as sale:
        worker = sale.start_worker()
        deadline = Deadline.within(6)
        started(sale, dict.fromkeys(SKUS, 100), deadline)
        with open_transaction(sale, orders("OPEN", 50, SKUS)) as stranger:
            assert all(3 < after_s < 5 for after_s in released_after_s(sale, deadline.ms, len(SKUS)))
            wait_until(lambda: '"backlog_given_up"' in worker.log, "the worker says so")
            assert f"{sale.prefix}order-placed/0: 50 records" in worker.log
            stranger.commit_transaction(20)
        sale.wait_for("order-outcomes", 50)
        assert answers(sale, deadline.ms).in_time == {"EXPIRED": 50}


def test_orders_start_and_end_in_one_backlog_are_decided_by_their_times_in_each_order(
    kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path
) -> None:
    """Six promotions, one for each order in which the three topics can be written.

    An end that was placed before its start refuses the start when it is read first, and is its deadline when
    it is read after it: the orders have one answer or the other, all the same, and no unit when they came
    after it.
    """
    each_order = list(permutations(("start", "orders", "end")))
    with system(kafka.bootstrap, topic_prefix, tmp_path, STOCK, partitions=4, claimGraceSeconds=5) as sale:
        for number, steps in enumerate(each_order):
            for step in steps:
                _publish(sale, step, number)
        sale.start_worker()
        sale.wait_for("order-outcomes", 100 * len(each_order))
        for number, steps in enumerate(each_order):
            [(reason, count)] = answers(sale, 2**62, f"P-{number}").in_time.items()
            assert count == 100
            assert reason in _right(steps), steps


def _right(steps: tuple[str, ...]) -> set[str]:
    """The reasons that orders may be given."""
    start, orders_at, end = map(steps.index, ("start", "orders", "end"))
    if start < end:
        return {TAKEN if orders_at < end else "ENDED"}
    return {"ENDED", "NO_RESERVATION"} | ({TAKEN} if orders_at < end else set())


def _publish(sale: System, step: str, number: int) -> None:
    promotion, sku = f"P-{number}", SKUS[number]
    if step == "start":
        sale.publish("promotion-start", [promotion_start(promotion, {sku: 100})])
    elif step == "end":
        sale.publish("promotion-end", [{"promotion": {"id": promotion}}])
    else:
        place(sale, orders(f"O-{number}", 100, [sku], promotion))
