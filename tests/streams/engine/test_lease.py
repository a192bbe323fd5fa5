"""The lease: only what the group's coordinator accepts begins or renews it, from when it was asked."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import errors
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest, SyncGroupRequest

from streams.engine.host.hooks import Lease

SESSION_S = 6.0
HEARTBEAT = HeartbeatRequest("group", 7, "member")
SYNC = SyncGroupRequest("group", 7, "member", None, [])
JOIN = JoinGroupRequest("group", 6_000, 6_000, "member", None, "consumer", [])


class Coordinator(GroupCoordinator):  # type: ignore[misc]
    """aiokafka's own, with a broker that answers every request with one code."""

    def __init__(self) -> None:
        self.group_id, self.generation, self.member_id = "group", 7, "member"
        self.coordinator_id = 1
        self._coordinator_dead_fut: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._rejoin_needed_fut: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.error_code = 0
        self.asked_at: list[float] = []

    async def _send_req(self, _request: Any) -> Any:
        self.asked_at.append(time.monotonic())
        return SimpleNamespace(error_code=self.error_code)

    def reset_generation(self) -> None:
        """A generation that the broker does not know has to be joined anew."""


@dataclass
class Engine:
    """An engine that is suspended while it has no generation."""

    generation: int | None = 7


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
async def coordinator() -> Coordinator:
    return Coordinator()


@pytest.fixture
async def lease(engine: Engine, coordinator: Coordinator) -> Lease:
    lease = Lease(cast(Any, engine), SESSION_S)
    lease.watch(coordinator)
    return lease


async def test_there_is_none_before_the_broker_has_said_anything(lease: Lease) -> None:
    assert lease.left_s < 0


@pytest.mark.parametrize("request_", [HEARTBEAT, SYNC], ids=["a heartbeat", "the partitions' coming"])
async def test_it_is_a_session_from_when_the_broker_was_asked(
    lease: Lease, coordinator: Coordinator, request_: Any
) -> None:
    before = time.monotonic()
    await coordinator._send_req(request_)
    assert before <= lease.expires_at() - SESSION_S <= coordinator.asked_at[-1]
    assert SESSION_S - 1 < lease.left_s <= SESSION_S


@pytest.mark.parametrize(
    ("answer", "goes_on"),
    [
        (errors.RebalanceInProgressError, True),
        (errors.IllegalGenerationError, False),
        (errors.UnknownMemberIdError, False),
        (errors.NotCoordinatorForGroupError, False),
    ],
)
async def test_a_heartbeat_that_is_answered_with_an_error_does_not_renew_it(
    lease: Lease, coordinator: Coordinator, answer: type[errors.KafkaError], goes_on: bool
) -> None:
    assert await coordinator._do_heartbeat()
    until = lease.expires_at()
    coordinator.error_code = answer.errno
    assert await coordinator._do_heartbeat() is goes_on
    assert lease.expires_at() == until


@pytest.mark.parametrize("error_code", [0, errors.RebalanceInProgressError.errno])
@pytest.mark.parametrize("request_", [HEARTBEAT, SYNC, JOIN])
async def test_the_broker_was_heard_whatever_it_said(
    lease: Lease, coordinator: Coordinator, request_: Any, error_code: int
) -> None:
    assert lease.heard_at == 0
    coordinator.error_code, before = error_code, time.monotonic()
    await coordinator._send_req(request_)
    assert before <= lease.heard_at <= time.monotonic()


async def test_joining_alone_begins_none(lease: Lease, coordinator: Coordinator) -> None:
    await coordinator._send_req(JOIN)
    assert lease.left_s < 0


async def test_a_suspended_engine_has_none(lease: Lease, coordinator: Coordinator, engine: Engine) -> None:
    await coordinator._send_req(HEARTBEAT)
    engine.generation = None
    assert lease.expires_at() == 0
