"""Answers of a shape that nobody expected leave nothing behind: breaker, login and calls go on."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import httpx
import pytest

from fluent.client.limits import Breaker, Gate
from fluent.errors import BudgetSpent, UnreadableAnswer
from fluent.parts import Part
from streams.ledger.commands import HoldConfirmed, HoldFailed, ReleaseConfirmed, decode_sku_command, encode
from tests.fluent.conftest import NewGateway
from tests.fluent.support import Network, Requests, live
from tests.support.fluent import FluentSimulator

JSON = {"content-type": "application/json"}
ODD: dict[str, bytes] = {
    "data is a list": b'{"data":[1]}',
    "data is a text": b'{"data":"yes"}',
    "a field of another call": b'{"data":{"c7_catalogue":{}}}',
    "a number that is too long": b'{"data":{"c' + b"1" * 5_000 + b'_catalogue":{}}}',
    "errors are no list": b'{"errors":{"message":"no"}}',
    "an error is no object": b'{"errors":["no"]}',
    "a path is a number": b'{"errors":[{"message":"no","path":5}]}',
    "a path is an object": b'{"errors":[{"message":"no","path":{"a":1}}]}',
    "a classification is a list": b'{"errors":[{"message":"no","extensions":{"classification":["a"]}}]}',
    "nested too deep": b'{"data":' + b"[" * 100_000,
    "not a number": b'{"data":NaN}',
    "nothing": b"",
}
TRIPS = 5
"""Failures in a row that open the breaker."""


class Script:
    """Answers of the GraphQL end point, one after the other; then Fluent answers."""

    def __init__(self, *answers: httpx.Response) -> None:
        self._answers = list(answers)

    def __call__(self, request: httpx.Request) -> httpx.Response | None:
        return self._answers.pop(0) if self._answers and request.url.path == "/graphql" else None


@pytest.mark.parametrize("body", ODD.values(), ids=ODD.keys())
async def test_a_probe_with_an_odd_answer_does_not_leave_the_breaker_half_open(
    new_gateway: NewGateway, body: bytes
) -> None:
    outage = [httpx.Response(503) for _ in range(TRIPS)]
    script = Script(*outage, httpx.Response(200, content=body, headers=JSON))
    gateway = new_gateway(transport=Network(instead=script), max_retries=20)
    operation = gateway.profile.operations["catalogue"].operation
    found = await asyncio.wait_for(gateway.client.call(operation, {"ref": "DEFAULT:1"}), 15)
    assert found["catalogue"]["ref"] == "DEFAULT:1"
    assert (gateway.meters.breaker, gateway.client.gate.in_flight) == ("closed", 0)


@pytest.mark.parametrize("given", ["Wed, 01 Jan 2025 00:00:00 -0000", "soon", "9" * 400, "-5", ""])
async def test_a_retry_after_that_cannot_be_read_is_none(new_gateway: NewGateway, given: str) -> None:
    busy = httpx.Response(408, headers={"retry-after": given, "date": "Wed, 01 Jan 2025 00:00:00 GMT"})
    gateway = new_gateway(transport=Network(instead=Script(busy)), max_retries=1)
    operation = gateway.profile.operations["catalogue"].operation
    call = gateway.client.call(operation, {"ref": "DEFAULT:1"}, time.monotonic() + 2)
    if given == "9" * 400:
        with pytest.raises(BudgetSpent):
            await call
    else:
        assert (await asyncio.wait_for(call, 5))["catalogue"]


@pytest.mark.parametrize(
    "row",
    [
        {"ref": None, "quantity": "many"},
        {"quantity": -1},
        {"ref": "R", "attributes": [{"value": 1}]},
        {"ref": "R", "attributes": 7},
        None,
    ],
)
async def test_parts_of_an_odd_shape_are_not_taken_for_no_parts(
    new_gateway: NewGateway, one: Requests, row: dict[str, Any] | None
) -> None:
    parts = {"edges": [{"node": row}]} if row is not None else {"edges": None}
    odd = [httpx.Response(200, json={"data": {"c0_parts": parts}}) for _ in range(2)]
    gateway = new_gateway(transport=Network(instead=Script(*odd)), max_retries=0)
    with pytest.raises(UnreadableAnswer):
        await gateway.stock(one.promotion, one.sku, one.ref).parts()
    assert await gateway.handle(one.release()) is None, "a release is confirmed by what was read only"
    assert await gateway.handle(one.release()) == ReleaseConfirmed(one.promotion, one.sku, 2)


@pytest.mark.parametrize("info", [None, {}, {"hasNextPage": None}], ids=str)
async def test_a_page_that_does_not_say_whether_it_is_the_last_is_not_taken_for_the_last(
    new_gateway: NewGateway, one: Requests, info: dict[str, Any] | None
) -> None:
    """Seen by reading: what other positions have was left out of account."""
    page = {"edges": [{"node": {"ref": "P1"}, "cursor": "1"}], "pageInfo": info}
    odd = httpx.Response(200, json={"data": {"c0_positions": page}})
    gateway = new_gateway(transport=Network(instead=Script(odd)), max_retries=0)
    with pytest.raises(UnreadableAnswer, match="yes or no"):
        await gateway.stock(one.promotion, one.sku, one.ref).free()


class Edited(Network):
    """Edits what each look-up shows of parts, where it shows any."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        answer = json.loads(await response.aread())
        edges = answer.get("data", {}).get("c0_parts", {}).get("edges")
        if not edges:
            return response
        self.edit(edges)
        return httpx.Response(200, content=json.dumps(answer), headers=JSON)

    def edit(self, edges: list[Any]) -> None:
        """Change the edges of one look-up."""
        raise NotImplementedError


class Garbled(Edited):
    """Changes the first part of the first look-up that shows one."""

    def __init__(self, change: dict[str, Any]) -> None:
        super().__init__()
        self.change = change

    def edit(self, edges: list[Any]) -> None:
        edges[0]["node"].update(self.change)
        self.change = {}


class Hidden(Edited):
    """Shows nothing of the first part in any look-up, only that there is something."""

    def __init__(self, edge: dict[str, Any] | None) -> None:
        super().__init__()
        self.edge = edge

    def edit(self, edges: list[Any]) -> None:
        edges[0] = self.edge


@pytest.mark.parametrize("edge", [None, {"node": None}], ids=str)
async def test_a_part_that_fluent_does_not_show_is_not_taken_for_none(
    new_gateway: NewGateway, simulator: FluentSimulator, one: Requests, edge: dict[str, Any] | None
) -> None:
    """Seen: the release was confirmed, and the units stayed held."""
    assert isinstance(await new_gateway().handle(one.hold(10)), HoldConfirmed)
    gateway = new_gateway(transport=Hidden(edge), max_retries=0)
    assert await gateway.handle(one.release()) is None
    assert list(live(simulator, one.sku).values()) == [10]


@pytest.mark.parametrize(
    "change",
    [
        {"status": True},
        {"status": None},
        {"quantity": []},
        {"quantity": True},
        {"quantity": 2**64},
        {"quantity": float("inf")},
        {"ref": "FS-ANOTHER-1"},
    ],
    ids=str,
)
async def test_a_part_of_an_odd_shape_is_not_taken_for_one_that_has_ended(
    new_gateway: NewGateway, simulator: FluentSimulator, one: Requests, change: dict[str, Any]
) -> None:
    hold = one.hold(10)
    assert isinstance(await new_gateway().handle(hold), HoldConfirmed)
    network = Garbled(change)
    gateway = new_gateway(transport=network)
    repeated = await gateway.handle(hold)
    assert repeated == HoldConfirmed(one.promotion, one.sku, 1, 10)
    assert list(live(simulator, one.sku).values()) == [10]
    network.change = change
    released = one.release()
    assert await gateway.handle(released) == ReleaseConfirmed(one.promotion, one.sku, 2)
    assert live(simulator, one.sku) == {}


@pytest.mark.parametrize(
    "token",
    [
        {"access_token": "line\nbreak"},
        {"access_token": "\u00fcml\u00e4ut"},
        {"access_token": ""},
        {"access_token": 7},
        ["access_token"],
    ],
)
async def test_a_token_that_no_header_can_carry_is_asked_for_again(
    new_gateway: NewGateway, one: Requests, token: Any
) -> None:
    answers = [httpx.Response(200, json=token)]
    network = Network(
        instead=lambda request: answers.pop() if answers and "oauth" in str(request.url) else None
    )
    gateway = new_gateway(transport=network)
    assert isinstance(await gateway.handle(one.hold(10)), HoldConfirmed)
    assert gateway.meters.logins["password ok"] == 1


@pytest.mark.parametrize("expires_in", [b'"1e999"', b'"NaN"', b"-1e99", b'"soon"', b"1" + b"0" * 400])
async def test_a_lifetime_that_makes_no_sense_costs_no_login_at_each_call(
    new_gateway: NewGateway, one: Requests, expires_in: bytes, simulator: FluentSimulator
) -> None:
    logins: list[bytes] = []

    def note(request: httpx.Request) -> httpx.Response | None:
        if "oauth" not in str(request.url):
            return None
        logins.append(request.content)
        content = b'{"access_token":"t","expires_in":' + expires_in + b"}"
        return httpx.Response(200, content=content, headers=JSON)

    gateway = new_gateway(transport=Network(instead=note))
    for _ in range(3):
        await gateway.client.log_in()
    assert len(logins) == 1


async def test_a_client_that_is_closed_leaves_no_call_waiting(new_gateway: NewGateway) -> None:
    gateway = new_gateway(requests_per_second=0.1)
    operation = gateway.profile.operations["catalogue"].operation
    calls = [asyncio.create_task(gateway.client.call(operation, {"ref": "DEFAULT:1"})) for _ in range(4)]
    await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    await gateway.aclose()
    results = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 2)
    assert sum(isinstance(result, BudgetSpent) for result in results) >= 2
    with pytest.raises(BudgetSpent):
        await gateway.client.call(operation, {"ref": "DEFAULT:1"})


async def test_a_caller_that_gives_up_keeps_no_slot_and_no_turn() -> None:
    gate = Gate(1_000.0, 1, Breaker(time.monotonic), time.monotonic)
    await gate.enter()
    waiting = asyncio.create_task(gate.enter())
    await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    gate.leave()
    await asyncio.wait_for(gate.enter(), 2)
    assert gate.in_flight == 1


async def test_a_message_that_was_cut_within_an_emoji_can_be_told_to_the_ledger(
    new_gateway: NewGateway, one: Requests
) -> None:
    """Seen: the answer was not UTF-8, so it was never sent, and the ledger asked for ever."""

    def refuse(request: httpx.Request) -> httpx.Response | None:
        if "CreatePart" not in request.content.decode():
            return None
        said = rb'{"errors":[{"message":"C0140: no \ud83d\ude00, \ud83d","path":["c0_part"]}]}'
        return httpx.Response(200, content=said, headers=JSON)

    gateway = new_gateway(transport=Network(instead=refuse))
    answer = await gateway.handle(one.hold(10))
    assert isinstance(answer, HoldFailed) and "no \U0001f600, \ufffd" in answer.error
    assert decode_sku_command(encode(answer)) == answer


def test_a_planned_quantity_that_is_no_number_is_none() -> None:
    part = Part("R-1", "P", "SKU", "", 7, live=True, attributes={"reserved_units": float("inf")})
    assert part.planned == 7
