"""Workers whose own clocks are wrong: nothing is early and nothing is late because of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.deadlines import TAKEN, Deadline, answers, orders, place, released_after_s, started
from tests.support.kafka import KafkaUnderTest
from tests.support.system import WorkerProcess, system, wait_until

SKUS = [f"SKU-{i}" for i in range(4)]
SKEWED = str(Path(__file__).parents[1] / "support" / "skewed_worker.py")


@pytest.mark.parametrize("ahead_s", [(120,), (-120,), (120, -120)])
def test_workers_two_minutes_off_close_a_sale_on_time_and_say_how_wrong_their_clocks_are(
    kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path, ahead_s: tuple[int, ...]
) -> None:
    stock = {sku: {"LOC-1": 100} for sku in SKUS}
    with system(kafka.bootstrap, topic_prefix, tmp_path, stock) as sale:
        workers = [sale.start_worker(program=(SKEWED, str(each))) for each in ahead_s]
        deadline = Deadline.within(6)
        started(sale, dict.fromkeys(SKUS, 50), deadline)
        deadline.wait(-1.5)
        place(sale, orders("O", 20, SKUS))
        deadline.wait(0.01)
        place(sale, orders("LATE", 20, SKUS))
        assert all(0 < after_s < 1 for after_s in released_after_s(sale, deadline.ms, len(SKUS)))
        sale.wait_for("order-outcomes", 40)
        found = answers(sale, deadline.ms)
        assert (found.in_time, found.late) == ({TAKEN: 20}, {"EXPIRED": 20})
        for worker, each in zip(workers, ahead_s, strict=True):
            wait_until(lambda worker=worker: clocks(worker), "the worker says that its clock differs")  # type: ignore[misc]
            [said] = clocks(worker)
            assert abs(said["ahead_s"] - each) < 5, "less by what an acknowledgement takes at most"


def clocks(worker: WorkerProcess) -> list[dict[str, Any]]:
    """What a worker has said of its clock."""
    return [json.loads(line) for line in worker.log.splitlines() if '"clock_differs"' in line]
