"""`python -m benchmarks failover`: how long the SKU waits that waits the longest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks import failover
from benchmarks.failover import RATE, silence_s, waited_s
from benchmarks.open_loop import Offered
from benchmarks.result import Arena
from benchmarks.subject import TODAY
from tests.support.kafka import KafkaUnderTest

BEGAN = 1_000.0
LOST_AT = BEGAN + 5.0
PROMPT_S = 0.1
GENEROUS_S = 60.0


def offered(*, until_s: float = 0.0) -> Offered:
    """Prompt outcomes, but that none comes from the loss on, for so long."""
    taken = [PROMPT_S] * (20 * RATE)
    for number in range(len(taken)):
        due = BEGAN + number / RATE
        if LOST_AT - PROMPT_S < due < LOST_AT + until_s:
            taken[number] = LOST_AT + until_s - due
    return Offered(BEGAN, taken, 0)


def test_an_outage_counts_from_the_loss_to_the_first_outcome_of_the_last_sku() -> None:
    assert silence_s(offered(), LOST_AT) < 2 * PROMPT_S
    assert silence_s(offered(until_s=4.0), LOST_AT) == pytest.approx(4.0, abs=0.2)
    assert waited_s(offered(until_s=4.0), LOST_AT) == pytest.approx(4.0, abs=0.2)


def test_one_sku_that_waits_counts_although_all_others_go_on() -> None:
    made = offered()
    for number in failover.numbers_of("SKU-7", len(made.taken)):
        if BEGAN + number / RATE > LOST_AT:
            made.taken[number] = 9.0
    assert silence_s(made, LOST_AT) < 2 * PROMPT_S
    assert 9.0 < waited_s(made, LOST_AT) < 10.5


@pytest.mark.kafka
@pytest.mark.slow
def test_a_worker_that_is_stopped_is_replaced_and_the_log_of_the_other_tells_how(
    kafka: KafkaUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(failover, "LOSS_AFTER_S", 2.0)
    monkeypatch.setitem(failover.SECONDS_AFTER, "worker", 6)
    arena = Arena(kafka.bootstrap, os.getpid(), tmp_path)
    [result] = failover.STOPPED(arena, TODAY)
    print(result)
    assert 0 < result.value < GENEROUS_S
    assert "tasks_open" in capsys.readouterr().err
