"""Ready means that a sale can start: tasks take records in, and a lease outlives a call to Fluent."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from agents.dead_letter_limit import DeadLetterLimit
from flashsale.worker.readiness import Readiness
from tests.agents.test_intake import Rec

CALL_S = 2.0


@dataclass
class Parts:
    """An engine and a lease as the test wants them."""

    ready: bool = False
    left_s: float = -3_725.8
    limit: DeadLetterLimit = field(default_factory=lambda: DeadLetterLimit(1))

    def readiness(self) -> Readiness:
        return Readiness(cast(Any, self), cast(Any, self), CALL_S, self.limit)


def test_a_worker_that_restores_is_not_ready() -> None:
    assert Parts(ready=False, left_s=6.0).readiness().state()[0] is False


@pytest.mark.parametrize("left_s", [-3_725.8, 0.0, CALL_S])
def test_a_worker_that_may_not_ask_fluent_yet_is_not_ready(left_s: float) -> None:
    ready, why = Parts(ready=True, left_s=left_s).readiness().state()
    assert not ready
    assert "Fluent may not be asked" in why


def test_a_worker_is_ready_with_its_rows_and_a_lease_that_outlives_a_call() -> None:
    assert Parts(ready=True, left_s=CALL_S + 0.1).readiness().state() == (True, "ready")


def test_a_worker_whose_intake_is_stopped_is_not_ready_and_says_why() -> None:
    parts = Parts(ready=True, left_s=6.0)
    parts.limit.decided("a log", [Rec(b"", offset=offset) for offset in range(2)], 2)
    ready, why = parts.readiness().state()
    assert not ready
    assert "2 of the last 2 messages were turned away" in why


async def test_ready_is_said_once_the_lease_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    parts = Parts(ready=True)
    readiness = parts.readiness()
    readiness.announce()
    readiness.announce()  # a second rebalance came before the first was ready
    for _ in range(3):
        await asyncio.sleep(0)
    assert capsys.readouterr().err == ""
    parts.left_s = 6.0
    said = ""
    async with asyncio.timeout(10):
        while not said:
            await asyncio.sleep(0.005)
            said = capsys.readouterr().err
    assert said == "ready\n"
