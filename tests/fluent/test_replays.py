"""A worker that takes a partition over reads its requests again: nothing outdated is carried out."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agents.fluent_requests import FluentRequests
from fluent import Gateway, RequestQueue
from streams.engine.fetched import Fetched
from streams.engine.sender import Sender
from streams.engine.stage import Record
from streams.ledger.commands import SkuCommand, decode_sku_command
from streams.ledger.fluent_requests import FluentRequest, VerifyPage, encode_request
from tests.fluent.support import Requests, live, written
from tests.support.fluent import FluentSimulator

TOPIC = "fluent-requests"


class Answers:
    """In the place of the worker's sender: the answers, decoded."""

    def __init__(self) -> None:
        self.commands: list[SkuCommand] = []

    def keyed(self, _topic: str, _key: bytes, value: bytes) -> None:
        self.commands.append(decode_sku_command(value))


class Successor:
    """The agent of a worker that has just taken over a partition whose log has these requests."""

    def __init__(self, gateway: Gateway, log: Sequence[FluentRequest]) -> None:
        self.answers = Answers()
        self.queue = RequestQueue(gateway, check_documents=False)
        self.agent = FluentRequests(TOPIC, self.queue, cast(Sender, self.answers))
        self._log = [
            cast(Record, SimpleNamespace(offset=offset, value=encode_request(request)))
            for offset, request in enumerate(log)
        ]

    async def fetch(self, start: int, following: int) -> int | None:
        """Takes in a part of the log, lets the queue do what it does, and says what may be committed."""
        records = self._log[start:following]
        await self.agent.take(Fetched(TOPIC, 0, start, following, records), len(self._log))
        await self.queue.drain()
        return self.agent.durable_offset(TOPIC, 0)


@pytest.mark.parametrize("chunk", [1, 2, 4])
async def test_a_settle_that_was_outdated_before_the_crash_is_not_carried_out_again(
    simulator: FluentSimulator, gateway: Gateway, one: Requests, chunk: int
) -> None:
    """Another SKU's request held the offset back, so the successor begins at the hold."""
    log: list[FluentRequest] = [one.hold(100), one.settle(90, 10), one.settle(50, 50), one.verify(50, 50)]
    for request in log:
        await gateway.handle(request)
    changes = simulator.journal()["last"]
    successor = Successor(gateway, log)
    for start in range(0, len(log), chunk):
        committable = await successor.fetch(start, start + chunk)
    assert written(simulator, changes, one.sku) == []
    assert live(simulator, one.sku) == {f"{one.ref}-1": 50}
    assert [type(answer).__name__ for answer in successor.answers.commands] == ["Verified"]
    assert committable == len(log)
    await successor.agent.close()


async def test_nothing_is_committed_beyond_a_request_that_waits_for_the_end_of_the_replay(
    gateway: Gateway, one: Requests, two: Requests
) -> None:
    log: list[FluentRequest] = [one.hold(100), two.hold(100), one.settle(90, 10)]
    successor = Successor(gateway, log)
    assert await successor.fetch(0, 1) == 0
    assert await successor.fetch(1, 2) == 0
    assert successor.answers.commands == []
    assert await successor.fetch(2, 3) == 3
    assert {answer.number for answer in cast(list[Any], successor.answers.commands)} == {1, 2}
    await successor.agent.close()


async def test_after_a_rebalance_the_range_that_is_read_again_is_a_replay_too(
    gateway: Gateway, one: Requests
) -> None:
    log: list[FluentRequest] = [one.hold(100), one.settle(90, 10), one.settle(50, 50)]
    successor = Successor(gateway, log)
    await successor.fetch(0, 1)
    await successor.agent.suspend(1.0)
    assert await successor.fetch(0, 2) == 1, "the settle has outdated the hold"
    assert successor.answers.commands == []
    assert await successor.fetch(2, 3) == 3
    await successor.agent.close()


async def test_when_the_replay_is_over_requests_are_carried_out_as_they_come(
    gateway: Gateway, one: Requests
) -> None:
    log: list[FluentRequest] = [one.hold(100)]
    successor = Successor(gateway, log)
    await successor.fetch(0, 1)
    for request in (one.settle(90, 10), one.settle(80, 20)):
        following = len(log) + 1
        record = cast(Record, SimpleNamespace(offset=len(log), value=encode_request(request)))
        await successor.agent.take(Fetched(TOPIC, 0, len(log), following, [record]), following + 10)
        await successor.queue.drain()
        log.append(request)
    assert [answer.number for answer in cast(list[Any], successor.answers.commands)] == [1, 2, 3]
    await successor.agent.close()


@pytest.mark.parametrize(
    "value",
    [None, b"\xff", b"\x91" * 100_000, encode_request(VerifyPage(1, 0, []))],
    ids=["none", "no text", "nested deep", "a page without lines"],
)
async def test_what_a_stranger_wrote_among_the_requests_is_passed_over(
    gateway: Gateway, value: bytes | None
) -> None:
    successor = Successor(gateway, [])
    successor._log = [cast(Record, SimpleNamespace(offset=0, value=value))]
    assert await successor.fetch(0, 1) == 1
    await successor.agent.close()
