"""Answers of a shape that nobody expected leave nothing behind: breaker, login and calls go on."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest

from fluent.errors import BudgetSpent, UnreadableAnswer
from fluent.parts import Part
from streams.ledger.commands import (
    HoldConfirmed,
    HoldFailed,
    ReleaseConfirmed,
    decode_sku_command,
    encode,
)
from tests.fluent.conftest import NewGateway
from tests.fluent.support import Network, Requests
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
