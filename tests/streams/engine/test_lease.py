"""The lease is renewed by the broker's word only."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import errors
from aiokafka.consumer.group_coordinator import GroupCoordinator

from streams.engine.host.consumer import renew_with_heartbeats


class Coordinator(GroupCoordinator):  # type: ignore[misc]
    """aiokafka's own, with a broker that answers every heartbeat with one code."""

    def __init__(self, code: int) -> None:
        self.group_id, self.generation, self.member_id = "group", 1, "member"
        self.coordinator_id = 1
        self._coordinator_dead_fut: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._rejoin_needed_fut: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._code = code

    async def _send_req(self, _: Any) -> Any:
        return SimpleNamespace(error_code=self._code)

    def reset_generation(self) -> None:
        """A generation that the broker does not know has to be joined anew."""


@pytest.mark.parametrize(
    ("answer", "goes_on", "renewals"),
    [
        (errors.NoError, True, 1),
        (errors.RebalanceInProgressError, True, 0),
        (errors.IllegalGenerationError, False, 0),
        (errors.NotCoordinatorForGroupError, False, 0),
    ],
)
async def test_a_heartbeat_answered_with_a_rebalance_in_progress_renews_no_lease(
    answer: type[errors.KafkaError], goes_on: bool, renewals: int
) -> None:
    coordinator, renewed = Coordinator(answer.errno), list[float]()
    renew_with_heartbeats(coordinator, renewed.append)
    assert await coordinator._do_heartbeat() is goes_on
    assert len(renewed) == renewals
