"""A proxy, a firewall or an edge answers in Fluent's place: only Fluent's own words refuse anything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
import msgspec
import pytest
from structlog.testing import capture_logs

from fluent.check import check_fluent
from streams.ledger.commands import HoldConfirmed, HoldFailed, ReleaseConfirmed, SettleConfirmed
from tests.fluent.conftest import NewGateway
from tests.fluent.support import Network, Requests, live
from tests.support.fluent import FluentSimulator

PAGE = b"<html><head><title>Request blocked</title></head><body>Ray ID: 8f3c</body></html>"
STATUSES = (302, 400, 401, 403, 404, 408, 413, 425, 200)
GATEWAYS_JSON = b'{"message":"Forbidden"}'

Answers = Callable[[httpx.Request], httpx.Response | None]


def page(status: int) -> httpx.Response:
    return httpx.Response(status, content=PAGE, headers={"content-type": "text/html; charset=utf-8"})


def json_answer(status: int, content: object) -> httpx.Response:
    return httpx.Response(status, json=content)


def operation_of(request: httpx.Request) -> str:
    if request.url.path != "/graphql":
        return "token"
    return str(msgspec.json.decode(request.content)["operationName"])


def once(operation: str, answer: httpx.Response, asked: list[str] | None = None) -> Answers:
    """In place of the first answer to `operation`; `asked` gets the names of all operations from it on."""
    struck: list[bool] = []

    def instead(request: httpx.Request) -> httpx.Response | None:
        name = operation_of(request)
        if asked is not None and (struck or name == operation):
            asked.append(name)
        if struck or name != operation:
            return None
        struck.append(True)
        return answer

    return instead


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("operation", ["FindParts", "CreatePart", "ConfirmPart", "ResizePart", "EndPart"])
async def test_a_page_in_the_place_of_one_answer_refuses_nothing(
    simulator: FluentSimulator, new_gateway: NewGateway, one: Requests, operation: str, status: int
) -> None:
    asked: list[str] = []
    gateway = new_gateway(transport=Network(instead=once(operation, page(status), asked)))
    assert await gateway.handle(one.hold(100)) == HoldConfirmed(one.promotion, one.sku, 1, 100)
    assert await gateway.handle(one.settle(30, 70)) == SettleConfirmed(one.promotion, one.sku, 2, 30)
    assert await gateway.handle(one.release(70)) == ReleaseConfirmed(one.promotion, one.sku, 3)
    assert live(simulator, one.sku) == {}
    if operation != "FindParts":
        assert asked[:2] == [operation, "FindParts"], "a write is not sent again before it was looked for"


@pytest.mark.parametrize("answer", [page(403), page(413), httpx.Response(403, content=GATEWAYS_JSON)])
async def test_one_page_in_the_place_of_forty_creations_refuses_none_of_them(
    new_gateway: NewGateway, answer: httpx.Response
) -> None:
    gateway = new_gateway(transport=Network(instead=once("CreatePart", answer)), max_in_flight=1)
    holds = [Requests(f"TWO-{number}", "FORTY").hold(1) for number in range(530, 570)]
    answers = await asyncio.gather(*(gateway.handle(hold) for hold in holds))
    assert {type(each) for each in answers} == {HoldConfirmed}


async def test_pages_that_go_on_open_the_breaker_and_give_no_answer(
    new_gateway: NewGateway, one: Requests
) -> None:
    gateway = new_gateway(
        transport=Network(instead=lambda request: None if "oauth" in str(request.url) else page(403)),
        max_retries=20,
        budget_s=3.0,
    )
    assert await gateway.handle(one.hold(100)) is None
    assert gateway.meters.breaker != "closed"
    assert gateway.meters.http_requests.total() == gateway.meters.http_requests["FindParts", "ForeignAnswer"]
    assert gateway.meters.http_requests.total() < 12


@pytest.mark.parametrize("status", [302, 403, 404, 425])
async def test_a_page_in_the_place_of_a_token_is_no_refused_login(
    new_gateway: NewGateway, one: Requests, status: int
) -> None:
    gateway = new_gateway(transport=Network(instead=once("token", page(status))))
    assert isinstance(await gateway.handle(one.hold(10)), HoldConfirmed)
    assert gateway.meters.logins["password ok"] == 1
    assert gateway.meters.logins.total() == 2


async def test_a_page_with_401_costs_no_new_login(new_gateway: NewGateway, one: Requests) -> None:
    gateway = new_gateway(transport=Network(instead=once("FindParts", page(401))))
    assert isinstance(await gateway.handle(one.hold(10)), HoldConfirmed)
    assert gateway.meters.logins.total() == 1


async def test_a_batch_that_is_too_large_for_a_proxy_is_halved_until_it_passes(
    new_gateway: NewGateway,
) -> None:
    def proxy(request: httpx.Request) -> httpx.Response | None:
        return page(413) if len(request.content) > 8_000 else None

    gateway = new_gateway(transport=Network(instead=proxy), max_in_flight=1, max_retries=0)
    operation = gateway.profile.operations["positions"].operation
    variables = {"sku": "S" * 100, "catalogue": {"ref": "DEFAULT:1"}, "first": 50, "after": None}
    assert len(await asyncio.gather(*(gateway.client.call(operation, variables) for _ in range(60)))) == 60


@pytest.mark.parametrize(
    "refusal",
    [
        json_answer(403, {"error": "access_denied", "error_description": "Access is denied"}),
        json_answer(403, {"errors": [{"message": "Forbidden"}]}),
        json_answer(200, {"errors": [{"message": "no", "extensions": {"code": "C0020E"}}]}),
    ],
)
async def test_a_permission_that_is_missing_is_a_refusal_and_an_alarm(
    simulator: FluentSimulator, new_gateway: NewGateway, one: Requests, refusal: httpx.Response
) -> None:
    gateway = new_gateway(transport=Network(instead=once("CreatePart", refusal)))
    with capture_logs() as lines:
        answer = await gateway.handle(one.hold(10))
    assert isinstance(answer, HoldFailed) and answer.reason == "FLUENT_UNAVAILABLE"
    [alarm] = [line for line in lines if line["event"] == "fluent_permission_missing"]
    assert (alarm["operation"], alarm["log_level"]) == ("CreatePart", "error")
    assert live(simulator, one.sku) == {}


async def test_a_permission_that_is_missing_shows_in_the_check(
    simulator: FluentSimulator, new_gateway: NewGateway
) -> None:
    before = simulator.journal()["last"]
    refusal = {"message": "You may not", "path": ["c0_part"], "extensions": {"code": "C0020E"}}
    answer = json_answer(200, {"data": {"c0_part": None}, "errors": [refusal]})
    lines = await check_fluent(new_gateway(transport=Network(instead=once("EndPart", answer))))
    [bad] = [line for line in lines if not line.ok]
    assert bad.name == "Fluent rights" and "C0020" in bad.detail and "permission" in bad.remedy
    assert simulator.journal()["last"] == before
