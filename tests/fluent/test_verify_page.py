"""A page of verifies: one request reads many reservations, and only what differs is looked at twice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from fluent import Gateway, verify_page
from fluent import gateway as gateways
from fluent.profile import BUILT_IN
from streams.ledger.commands import PageVerified, SkuCommand, Verified
from streams.ledger.fluent_requests import ALONE, FluentRequest, VerifyPage
from tests.fluent.conftest import NewGateway
from tests.fluent.pages import PAGE, ROUND, held, page
from tests.fluent.support import Network, Requests
from tests.support.fluent import FluentSimulator

PROFILES = ("inventory-quantity", "template")
OURS = [{"name": "promotion_id", "type": "STRING", "value": "FLASH-1"}]


@pytest.fixture
def some(own_numbers: Iterator[int]) -> list[Requests]:
    """Requests for SKUs with 60 units at LOC-1 and 60 at LOC-2."""
    return [Requests(f"PAGE-{next(own_numbers):03d}") for _ in range(6)]


@pytest.fixture(scope="module")
def own_numbers() -> Iterator[int]:
    """Of the SKUs that only these tests use; the first 200 belong to one of them."""
    return count(200)


@pytest.fixture(params=PROFILES)
def any_gateway(new_gateway: NewGateway, request: pytest.FixtureRequest) -> Gateway:
    return new_gateway(profile=request.param)


def drifts(answers: list[SkuCommand]) -> dict[str, tuple[int, int, str | None]]:
    """What was answered about SKUs; a page that is answered in full ends with PageVerified."""
    assert answers[-1] == PageVerified(ROUND, PAGE)
    found = [answer for answer in answers if isinstance(answer, Verified)]
    assert all(answer.round == ROUND for answer in found)
    return {answer.sku: (answer.held, answer.drift_units, answer.drift_kind) for answer in found}


async def test_agreement_is_silent(any_gateway: Gateway, some: list[Requests]) -> None:
    assert drifts(await any_gateway.verify_page(page(await held(any_gateway, some)))) == {}


async def test_what_differs_is_told_apart_among_what_does_not(
    simulator: FluentSimulator, any_gateway: Gateway, some: list[Requests]
) -> None:
    lines = await held(any_gateway, some)
    less, ended, more, twice, missing, _ = some
    simulator.quantity(f"{less.ref}-2", quantity=-10)
    simulator.quantity(f"{ended.ref}-1", status="INACTIVE")
    simulator.quantity(f"{more.ref}-1", quantity=-90)
    simulator.quantity(
        f"FLASH-1-{twice.sku}-1", sku=twice.sku, location="LOC-2", type="SOFT_RESERVE", quantity=-25,
        status="ACTIVE", attributes=OURS,
    )  # fmt: skip
    lines[4] = Requests(missing.sku, "FLASH-2").verify(50)
    assert drifts(await any_gateway.verify_page(page(lines))) == {
        less.sku: (70, 30, "WRONG_QUANTITY"),
        ended.sku: (40, 60, "FOREIGN_CHANGE"),
        more.sku: (130, 30, "FOREIGN_CHANGE"),
        twice.sku: (100, 25, "DUPLICATE"),
        missing.sku: (0, 50, "MISSING_HOLD"),
    }


async def test_sales_that_are_booked_wrong_are_among_it(
    simulator: FluentSimulator, gateway: Gateway, some: list[Requests]
) -> None:
    await held(gateway, some)
    for sku in some:
        await gateway.handle(sku.settle(70, 30, sale=True))
    lines = [sku.verify(70, 30, sale=True) for sku in some]
    assert drifts(await gateway.verify_page(page(lines))) == {}
    simulator.quantity(f"{some[0].ref}-sale", quantity=-20)
    assert drifts(await gateway.verify_page(page(lines))) == {some[0].sku: (70, 10, "WRONG_QUANTITY")}


async def test_two_promotions_on_a_sku_are_two_lines(any_gateway: Gateway, two: Requests) -> None:
    others = Requests(two.sku, "FLASH-2")
    lines = [*await held(any_gateway, [two], 40), *await held(any_gateway, [others], 30)]
    assert drifts(await any_gateway.verify_page(page(lines))) == {}
    wrong = [lines[0], others.verify(29)]
    assert drifts(await any_gateway.verify_page(page(wrong))) == {two.sku: (30, 1, "WRONG_QUANTITY")}


async def test_a_difference_that_is_gone_is_news(any_gateway: Gateway, some: list[Requests]) -> None:
    lines = await held(any_gateway, some)
    lines[0].differed = True
    assert drifts(await any_gateway.verify_page(page(lines))) == {some[0].sku: (100, 0, None)}


async def test_one_stale_read_is_no_drift(
    simulator: FluentSimulator, gateway: Gateway, some: list[Requests]
) -> None:
    lines = await held(gateway, some)
    simulator.control(stale_ms=60_000)
    simulator.next("staleRead", match="Holds", contains=some[0].ref)
    assert drifts(await gateway.verify_page(page(lines))) == {}


@pytest.mark.parametrize("profile", PROFILES)
async def test_two_hundred_reservations_are_read_by_few_requests(
    new_gateway: NewGateway, profile: str
) -> None:
    """Seen: two requests for each of them, so that 22,500 idle SKUs kept a gateway busy with nothing else."""
    skus = [Requests(f"PAGE-{number:03d}", f"MANY-{profile}") for number in range(200)]
    network = Network()
    gateway = new_gateway(profile=profile, transport=network)
    lines = await held(gateway, skus, 1)
    before = network.calls
    assert drifts(await gateway.verify_page(page(lines))) == {}
    assert network.calls - before <= 4
    await asyncio.gather(*(gateway.handle(sku.release()) for sku in skus))


async def test_a_position_with_more_holds_than_a_page_shows_is_looked_at_by_itself(
    simulator: FluentSimulator, gateway: Gateway, two: Requests
) -> None:
    lines = await held(gateway, [two], 10)
    carts = [f"CART-{two.sku}-{number}" for number in range(60)]
    for ref in carts:
        simulator.quantity(ref, sku=two.sku, location="LOC-1", type="SOFT_RESERVE", quantity=-1)
    assert drifts(await gateway.verify_page(page(lines))) == {}
    simulator.quantity(carts[-1], attributes=OURS)
    assert drifts(await gateway.verify_page(page(lines))) == {two.sku: (10, 1, "DUPLICATE")}


async def test_one_sku_with_very_many_holds_keeps_no_other_from_being_compared(
    any_gateway: Gateway, some: list[Requests], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = await held(any_gateway, some)
    lines[1] = some[1].verify(99)
    monkeypatch.setattr(verify_page, "RECORDS_A_READ", 2)
    monkeypatch.setattr(verify_page, "READS_A_PAGE", 2)
    with capture_logs() as logs:
        found = await any_gateway.verify_page(page(lines))
    assert drifts(found) == {some[1].sku: (100, 1, "WRONG_QUANTITY")}
    assert [each["lines"] for each in logs if each["event"] == "fluent_page_refused"] == [len(some)]


async def test_a_hold_of_more_parts_than_a_page_asks_for_is_looked_at_by_itself(gateway: Gateway) -> None:
    many = Requests("MANY", "FLASH-PAGE")
    lines = await held(gateway, [many], 40)
    assert drifts(await gateway.verify_page(page(lines))) == {}
    assert drifts(await gateway.verify_page(page([many.verify(41)]))) == {"MANY": (40, 1, "WRONG_QUANTITY")}
    await gateway.handle(many.release())


async def test_where_fluent_refuses_so_many_at_once_each_is_looked_at_by_itself(
    simulator: FluentSimulator, gateway: Gateway, some: list[Requests]
) -> None:
    lines = await held(gateway, some)
    lines[1] = some[1].verify(99)
    before = simulator.control()["faults"].get("refused", 0)
    simulator.next("refused", match="Holds", contains=some[0].ref, code="C0001E")
    assert drifts(await gateway.verify_page(page(lines))) == {some[1].sku: (100, 1, "WRONG_QUANTITY")}
    assert simulator.control()["faults"]["refused"] == before + 1


async def test_a_profile_that_cannot_read_many_looks_at_each_by_itself(
    new_gateway: NewGateway, tmp_path: Path, some: list[Requests]
) -> None:
    for file in (BUILT_IN / "inventory-quantity").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    mapping = msgspec.json.decode((tmp_path / "profile.json").read_bytes())
    del mapping["operations"]["holds"]
    (tmp_path / "profile.json").write_bytes(msgspec.json.encode(mapping))
    gateway = new_gateway(profile_dir=tmp_path)
    lines = await held(gateway, some)
    lines[1] = some[1].verify(99)
    assert drifts(await gateway.verify_page(page(lines))) == {some[1].sku: (100, 1, "WRONG_QUANTITY")}


async def test_a_page_that_fluent_does_not_answer_is_not_verified(
    simulator: FluentSimulator, gateway: Gateway, some: list[Requests]
) -> None:
    lines = await held(gateway, some)
    simulator.next("closeAfter", match="Holds", contains=some[0].ref, count=4)
    assert await gateway.verify_page(page(lines)) == []


async def test_the_answer_about_one_alone_is_of_no_round(gateway: Gateway, some: list[Requests]) -> None:
    await held(gateway, some[:1])
    found = await gateway.verify_page(VerifyPage(ROUND, ALONE, [some[0].verify(99)]))
    assert [(each.drift_units, each.round) for each in found if isinstance(each, Verified)] == [(1, 0)]


async def test_many_that_are_verified_alone_are_read_together(
    new_gateway: NewGateway, some: list[Requests]
) -> None:
    """Seen: a query for each, which goes out by itself, of the twenty requests that a second has."""
    network = Network()
    gateway = new_gateway(transport=network)
    alone = [VerifyPage(ROUND, ALONE, [line]) for line in await held(gateway, some)]
    before = network.calls
    found = await asyncio.gather(*map(gateway.verify_page, alone))
    assert found == [[PageVerified(ROUND, ALONE)]] * len(some)
    assert network.calls - before <= 4


async def test_however_much_differs_few_lines_are_looked_at_at_once(
    new_gateway: NewGateway, some: list[Requests], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen: all lines of all pages at once, thousands of calls, behind which those of a release waited."""
    monkeypatch.setattr(gateways, "LINES_AT_ONCE", 3)
    gateway, now, most = new_gateway(), 0, 0
    handle = gateway.handle

    async def counting(request: FluentRequest, *, may_wait: bool = False) -> SkuCommand | None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        found = await handle(request, may_wait=may_wait)
        now -= 1
        return found

    monkeypatch.setattr(gateway, "handle", counting)
    lines = [sku.verify(7) for sku in some]
    found = await asyncio.gather(gateway.verify_page(page(lines)), gateway.verify_page(page(lines)))
    assert most == 3
    assert [len(drifts(each)) for each in found] == [len(some), len(some)]
