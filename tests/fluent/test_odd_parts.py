"""Parts and positions of a shape that nobody expected are taken neither for none nor for somebody else's."""

from __future__ import annotations

import json
from typing import Any

import httpx
import msgspec
import pytest

from fluent.errors import UnreadableAnswer
from streams.ledger.commands import HoldConfirmed, ReleaseConfirmed, SettleConfirmed
from tests.fluent.conftest import NewGateway
from tests.fluent.support import Network, Requests, live
from tests.fluent.test_odd_answers import JSON, Script
from tests.support.fluent import FluentSimulator


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


class Always(Edited):
    """Changes every part of every look-up."""

    def __init__(self, change: dict[str, Any]) -> None:
        super().__init__()
        self.change = change

    def edit(self, edges: list[Any]) -> None:
        for edge in edges:
            edge["node"].update(self.change)


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


class Twice(Edited):
    """Shows each part twice."""

    def edit(self, edges: list[Any]) -> None:
        edges += edges


async def test_a_part_that_is_shown_twice_is_not_taken_for_two(
    new_gateway: NewGateway, simulator: FluentSimulator, one: Requests
) -> None:
    """Seen: a settle to 100 units set the hold of 100 to none, and was confirmed."""
    assert isinstance(await new_gateway().handle(one.hold(100)), HoldConfirmed)
    gateway = new_gateway(transport=Twice(), max_retries=0)
    assert await gateway.handle(msgspec.structs.replace(one.hold(100), number=1)) is None
    assert await gateway.handle(one.settle(60, 40)) is None
    assert await gateway.handle(one.settle(100, 0)) is None
    assert list(live(simulator, one.sku).values()) == [100]


@pytest.mark.parametrize("change", [{"position": None}, {"quantity": None}], ids=str)
async def test_a_part_that_is_not_shown_whole_refuses_no_settle_and_books_nothing(
    new_gateway: NewGateway, simulator: FluentSimulator, one: Requests, change: dict[str, Any]
) -> None:
    """Seen: a sale was to be booked nowhere, which was refused for good; a counted one was booked again."""
    assert isinstance(await new_gateway().handle(one.hold(100)), HoldConfirmed)
    await new_gateway().handle(one.settle(70, 30, sale=True))
    simulator.stock_batch({one.sku: {"LOC-1": 70}})
    settle = one.settle(60, 40, sale=True)
    assert await new_gateway(transport=Always(change), max_retries=0).handle(settle) is None
    assert simulator.truth(one.sku)["booked"] == 0, "those that were booked are counted"
    assert await new_gateway().handle(settle) == SettleConfirmed(one.promotion, one.sku, 3, 60)
    assert simulator.truth(one.sku)["booked"] == 10


class Swapped(Network):
    """Answers writes of parts, which are carried out or not, as if they were about another part."""

    def __init__(self, operation: str) -> None:
        super().__init__()
        self.operation = operation.encode()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.operation not in request.content:
            return await super().handle_async_request(request)
        part = {"ref": "FS-ANOTHER-1", "status": "ACTIVE", "quantity": -60}
        return httpx.Response(200, json={"data": {"c0_part": part}})


async def test_an_answer_about_another_part_confirms_no_write(
    new_gateway: NewGateway, simulator: FluentSimulator, one: Requests
) -> None:
    """Seen: the settle was confirmed, and Fluent had never heard of it."""
    assert isinstance(await new_gateway().handle(one.hold(100)), HoldConfirmed)
    settle = one.settle(60, 40)
    assert await new_gateway(transport=Swapped("ResizePart"), max_retries=0).handle(settle) is None
    assert await new_gateway().handle(settle) == SettleConfirmed(one.promotion, one.sku, 2, 60)
    assert list(live(simulator, one.sku).values()) == [60]


@pytest.mark.parametrize("quantity", ["-60", -60.0, None])
async def test_a_quantity_that_is_written_otherwise_confirms_a_settle(
    new_gateway: NewGateway, one: Requests, quantity: Any
) -> None:
    assert isinstance(await new_gateway().handle(one.hold(100)), HoldConfirmed)
    part = {"ref": f"{one.ref}-1", "status": "ACTIVE", "quantity": quantity}
    answer = httpx.Response(200, json={"data": {"c0_part": part}})
    network = Network(instead=lambda request: answer if b"ResizePart" in request.content else None)
    settled = await new_gateway(transport=network, max_retries=0).handle(one.settle(60, 40))
    assert settled == SettleConfirmed(one.promotion, one.sku, 2, 60)


@pytest.mark.parametrize(
    "change",
    [
        {"attributes": None},
        {"attributes": [{"name": "promotion_id", "value": "ANOTHER"}]},
        {"position": {"ref": "P", "productRef": "ANOTHER"}},
    ],
    ids=str,
)
async def test_one_look_does_not_make_our_hold_somebody_elses(
    new_gateway: NewGateway, one: Requests, change: dict[str, Any]
) -> None:
    """Seen: the repeat of a hold was refused as a CONFLICT, for good, and the units stayed held."""
    hold = one.hold(10)
    assert isinstance(await new_gateway().handle(hold), HoldConfirmed)
    gateway = new_gateway(transport=Garbled(change))
    assert await gateway.handle(hold) == HoldConfirmed(one.promotion, one.sku, 1, 10)


async def test_a_sum_that_is_not_told_where_our_part_is_hides_no_race(
    new_gateway: NewGateway, one: Requests
) -> None:
    part = {"ref": f"{one.ref}-1", "status": "ACTIVE", "quantity": -10}
    silent = [httpx.Response(200, json={"data": {"c0_part": part, "c0_available": None}})]
    network = Network(
        instead=lambda request: silent.pop() if silent and b"CheckPart" in request.content else None
    )
    gateway = new_gateway(transport=network, max_retries=0)
    hold = one.hold(10)
    assert await gateway.handle(hold) is None
    assert await gateway.handle(hold) == HoldConfirmed(one.promotion, one.sku, 1, 10)


async def test_a_position_that_is_gone_amid_its_pages_does_not_end_them(
    new_gateway: NewGateway, one: Requests
) -> None:
    """Seen: the holds of the first page passed for all of them."""
    edges = [{"node": {"ref": "R", "status": "ACTIVE", "quantity": -1, "attributes": []}, "cursor": "1"}]
    first = {"quantities": {"edges": edges, "pageInfo": {"hasNextPage": True}}}
    pages = [httpx.Response(200, json={"data": {"c0_position": page}}) for page in (None, first)]
    gateway = new_gateway(transport=Network(instead=Script(*reversed(pages))), max_retries=0)
    with pytest.raises(UnreadableAnswer):
        await gateway.stock(one.promotion, one.sku, one.ref).holds_at(["P"])


class Loud(Network):
    """Writes its media types in another way, as HTTP allows."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        response.headers["content-type"] = "Application/JSON;Charset=UTF-8"
        return response


async def test_a_media_type_in_capitals_is_the_same_type(new_gateway: NewGateway, one: Requests) -> None:
    """Seen: neither a login nor a call had an answer."""
    gateway = new_gateway(transport=Loud(), max_retries=0)
    assert isinstance(await gateway.handle(one.hold(10)), HoldConfirmed)


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
