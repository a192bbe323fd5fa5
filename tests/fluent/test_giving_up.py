"""Whatever a request contains, it ends in an answer; an outage is no reason to refuse anything."""

from __future__ import annotations

import asyncio

import httpx
import msgspec
import pytest
from structlog.testing import capture_logs

from fluent import Gateway
from fluent.giving_up import FAILURES
from streams.ledger.commands import (
    HoldConfirmed,
    HoldFailed,
    ReleaseConfirmed,
    ReleaseFailed,
    SettleFailed,
    SkuCommand,
    Verified,
)
from streams.ledger.fluent_requests import FluentRequest, VerifyPage
from tests.fluent.conftest import NewGateway
from tests.fluent.support import Network, Requests, live
from tests.support.fluent import FluentSimulator

YEAR_57000_MS = 1_737_000_000_000_000


async def asked(gateway: Gateway, request: FluentRequest, times: int = FAILURES) -> list[SkuCommand | None]:
    """What the ledger does with a request that has no answer: it asks again."""
    return [await gateway.handle(request) for _ in range(times)]


def strange(operation: str, code: str = "X1") -> Network:
    """Fluent answers `operation` with an error that nobody knows, each time."""

    def instead(request: httpx.Request) -> httpx.Response | None:
        if request.url.path != "/graphql" or operation not in request.content.decode():
            return None
        return httpx.Response(
            200, json={"errors": [{"message": f"{code}: no", "extensions": {"code": code}}]}
        )

    return Network(instead=instead)


@pytest.mark.parametrize(
    "wrong",
    [
        {"expires_at_ms": YEAR_57000_MS},
        {"expires_at_ms": -(2**62)},
        {"attributes": b"{not json"},
        {"attributes": b"\xff"},
    ],
)
async def test_a_hold_whose_attributes_cannot_be_made_is_refused_with_the_cause(
    simulator: FluentSimulator, gateway: Gateway, one: Requests, wrong: dict[str, object]
) -> None:
    hold = msgspec.structs.replace(one.hold(10), **wrong)
    with capture_logs() as lines:
        *before, last = await asked(gateway, hold)
    assert before == [None] * (FAILURES - 1)
    assert isinstance(last, HoldFailed) and last.reason == "INVALID"
    assert "5 failures of the same kind" in last.error
    assert [line["event"] for line in lines if line["log_level"] == "error"] == [
        *["fluent_request_failed"] * FAILURES,
        "fluent_request_given_up",
    ]
    assert live(simulator, one.sku) == {}
    assert isinstance(await gateway.handle(Requests(one.sku, "FLASH-2").hold(10)), HoldConfirmed)


async def test_a_hold_that_fluent_answers_with_an_error_nobody_knows_is_refused_and_nothing_stays_held(
    simulator: FluentSimulator, new_gateway: NewGateway, two: Requests
) -> None:
    gateway = new_gateway(transport=strange("ConfirmPart"), max_retries=0)
    *before, last = await asked(gateway, two.hold(100))
    assert before == [None] * (FAILURES - 1)
    assert isinstance(last, HoldFailed) and last.reason == "FLUENT_UNAVAILABLE" and "X1" in last.error
    assert live(simulator, two.sku) == {}


async def test_reading_that_is_refused_for_good_ends_in_an_answer_too(
    new_gateway: NewGateway, one: Requests
) -> None:
    gateway = new_gateway(transport=strange("FindParts", "C0020E"), max_retries=0)
    *before, last = await asked(gateway, one.hold(100))
    assert before == [None] * (FAILURES - 1)
    assert isinstance(last, HoldFailed) and "C0020" in last.error


async def test_settle_release_and_verify_end_in_an_answer_as_well(
    simulator: FluentSimulator, gateway: Gateway, new_gateway: NewGateway, one: Requests
) -> None:
    await gateway.handle(one.hold(100))
    settling = new_gateway(transport=strange("ResizePart"), max_retries=0)
    assert isinstance((await asked(settling, one.settle(60, 40)))[-1], SettleFailed)
    releasing = new_gateway(transport=strange("EndPart"), max_retries=0)
    released = (await asked(releasing, one.release(40)))[-1]
    assert isinstance(released, ReleaseFailed) and released.held == 100
    verifying = new_gateway(transport=strange("FindParts", "C0140"), max_retries=0)
    assert isinstance((await asked(verifying, one.verify(closed=True)))[-1], Verified)


async def test_an_open_hold_that_cannot_be_read_is_not_said_to_agree(
    gateway: Gateway, new_gateway: NewGateway, one: Requests
) -> None:
    """Seen: after some rounds a difference that was known was gone from the report."""
    await gateway.handle(one.hold(100))
    blind = new_gateway(transport=strange("FindParts", "C0140"), max_retries=0)
    line = msgspec.structs.replace(one.verify(60), differed=True)
    for number in range(FAILURES + 2):
        assert await blind.verify_page(VerifyPage(number, 0, [line])) == []


async def test_a_closed_hold_that_differs_and_cannot_be_read_is_not_said_to_agree(
    gateway: Gateway, new_gateway: NewGateway, one: Requests
) -> None:
    """Seen: of a release that Fluent had refused the drift was gone, and the units were told as released."""
    await gateway.handle(one.hold(100))
    blind = new_gateway(transport=strange("FindParts", "C0140"), max_retries=0)
    verify = msgspec.structs.replace(one.verify(closed=True), differed=True)
    assert await asked(blind, verify, FAILURES + 2) == [None] * (FAILURES + 2)


async def test_a_release_whose_units_cannot_be_read_is_asked_again_and_again(
    gateway: Gateway, new_gateway: NewGateway, one: Requests
) -> None:
    await gateway.handle(one.hold(100))
    blind = new_gateway(transport=strange("FindParts", "C0140"), max_retries=0)
    assert await asked(blind, one.release(), FAILURES + 2) == [None] * (FAILURES + 2)


async def test_a_confirmed_hold_that_is_not_there_is_not_said_to_be_released(
    simulator: FluentSimulator, gateway: Gateway, new_gateway: NewGateway, one: Requests
) -> None:
    """Seen: with another catalogueRef after a restart the release was confirmed, the units stayed held."""
    await gateway.handle(one.hold(100))
    release = msgspec.structs.replace(one.release(), confirmed=True)
    elsewhere = new_gateway(catalogue="OTHER:1", max_retries=0)
    *before, last = await asked(elsewhere, release)
    assert before == [None] * (FAILURES - 1)
    assert isinstance(last, ReleaseFailed) and "catalogueRef" in last.error
    assert isinstance(await gateway.handle(release), ReleaseConfirmed)
    assert live(simulator, one.sku) == {}


async def test_an_outage_refuses_nothing_however_long_it_lasts(
    simulator: FluentSimulator, new_gateway: NewGateway, one: Requests
) -> None:
    simulator.control(failing=503)
    gateway = new_gateway(max_retries=0, budget_s=0.1)
    hold = one.hold(100)
    assert await asked(gateway, hold, 3 * FAILURES) == [None] * 3 * FAILURES
    simulator.control(failing=0)
    async with asyncio.timeout(30):
        while (answer := await gateway.handle(hold)) is None:
            pass
    assert answer == HoldConfirmed(one.promotion, one.sku, 1, 100)


async def test_failures_of_several_kinds_are_not_added_up(
    simulator: FluentSimulator, new_gateway: NewGateway, one: Requests
) -> None:
    codes = iter(["C0140", "C0141"] * FAILURES)

    def instead(request: httpx.Request) -> httpx.Response | None:
        if b"FindParts" not in request.content or (code := next(codes, None)) is None:
            return None
        return httpx.Response(200, json={"errors": [{"message": "no", "extensions": {"code": code}}]})

    gateway = new_gateway(transport=Network(instead=instead), max_retries=0)
    answers = await asked(gateway, one.hold(100), 2 * FAILURES + 1)
    assert answers == [None] * 2 * FAILURES + [HoldConfirmed(one.promotion, one.sku, 1, 100)]
