"""Workers whose own clocks are wrong: nothing is early and nothing is late because of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.deadlines import TAKEN, Deadline, answers, orders, place, released_after_s, started
from tests.support.kafka import KafkaUnderTest
from tests.support.system import system, wait_until

SKUS = [f"SKU-{i}" for i in range(4)]
SKEWED = str(Path(__file__).parents[1] / "support" / "skewed_worker.py")


@pytest.mark.parametrize("ahead_s", [120, -120])
def test_a_worker_two_minutes_off_closes_a_sale_on_time_and_says_how_wrong_its_clock_is(
    kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path, ahead_s: int
) -> None:
    stock = {sku: {"LOC-1": 100} for sku in SKUS}
    with system(kafka.bootstrap, topic_prefix, tmp_path, stock) as sale:
        worker = sale.start_worker(program=(SKEWED, str(ahead_s)))
        deadline = Deadline.within(6)
        started(sale, dict.fromkeys(SKUS, 50), deadline)
        deadline.wait(-0.3)
        place(sale, orders("O", 20, SKUS))
        deadline.wait(0.01)
        place(sale, orders("LATE", 20, SKUS))
        assert all(0 < after_s < 1 for after_s in released_after_s(sale, deadline.ms, len(SKUS)))
        sale.wait_for("order-outcomes", 40)
        found = answers(sale, deadline.ms)
        assert (found.in_time, found.late) == ({TAKEN: 20}, {"EXPIRED": 20})
        wait_until(lambda: '"clock_differs"' in worker.log, "the worker says that its clock differs")
        said = [json.loads(line) for line in worker.log.splitlines() if '"clock_differs"' in line]
        assert [round(line["ahead_s"]) for line in said] == [ahead_s]
