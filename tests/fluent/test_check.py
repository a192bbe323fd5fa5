"""`flashsale check`, the Fluent part: one line for each thing, with the remedy, and nothing is changed."""

from __future__ import annotations

import json

import httpx
import pytest

from fluent.check import check_fluent, warn_of_misfits
from tests.fluent.conftest import NewGateway
from tests.fluent.support import Network, Requests, written
from tests.support.fluent import FluentSimulator


async def test_a_good_account_passes_and_nothing_is_changed(
    simulator: FluentSimulator, new_gateway: NewGateway, two: Requests
) -> None:
    before = simulator.journal()["last"]
    lines = await check_fluent(new_gateway(), two.sku)
    assert [(line.name, line.ok) for line in lines] == [
        ("Fluent login", True),
        ("Fluent catalogue", True),
        ("Fluent documents", True),
        ("Fluent rights", True),
        (f"Fluent SKU {two.sku}", True),
    ]
    assert lines[4].detail == "2 positions, 120 units available"
    assert written(simulator, before, two.sku) == []


async def test_a_wrong_password_ends_the_check_with_its_remedy(new_gateway: NewGateway) -> None:
    lines = await check_fluent(new_gateway(password="wrong"), "ANY")
    assert [line.ok for line in lines] == [False]
    assert "invalid_grant" in lines[0].detail and "FLUENT_PASSWORD" in lines[0].remedy
    assert "wrong'" not in lines[0].detail


async def test_a_missing_catalogue_and_sku_are_named(new_gateway: NewGateway) -> None:
    lines = await check_fluent(new_gateway(catalogue="DEFAULT:77"), "ANY")
    assert [(line.ok, line.detail) for line in lines if not line.ok] == [
        (False, "there is no catalogue DEFAULT:77"),
        (False, "no ACTIVE position"),
    ]
    assert "catalogueRef" in lines[1].remedy


async def test_fluent_that_cannot_be_reached_is_one_line(new_gateway: NewGateway) -> None:
    lines = await check_fluent(new_gateway(base_url="http://127.0.0.1:9", max_retries=0))
    assert [line.ok for line in lines] == [False]


async def test_a_document_that_does_not_fit_names_the_field(
    new_gateway: NewGateway, simulator: FluentSimulator
) -> None:
    gateway = new_gateway()
    mapped = gateway.profile.operations["catalogue"]
    mapped.operation.text = mapped.operation.text.replace("status", "colour")
    assert await warn_of_misfits(gateway.client, gateway.profile) == [
        "catalogue: Cannot query field 'colour' on type 'InventoryCatalogue'."
    ]
    lines = await check_fluent(gateway)
    assert "colour" in next(line.detail for line in lines if line.name == "Fluent documents")


async def test_a_server_that_does_not_describe_itself_is_no_error(
    new_gateway: NewGateway, simulator: FluentSimulator
) -> None:
    simulator.control(introspection=False)
    gateway = new_gateway()
    assert await warn_of_misfits(gateway.client, gateway.profile) == []
    lines = await check_fluent(gateway)
    assert all(line.ok for line in lines)
    assert "not checked" in lines[2].detail


class WithAnEmptyType(Network):
    """Fluent has one more type, without a field, which GraphQL does not allow."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        answer = json.loads(await response.aread())
        schema = answer.get("data", {}).get("c0___schema")
        if schema is None:
            return response
        schema["types"].append({"kind": "OBJECT", "name": "Empty", "fields": [], "interfaces": []})
        return httpx.Response(200, json=answer)


async def test_a_schema_that_breaks_a_rule_of_graphqls_somewhere_is_compared_all_the_same(
    new_gateway: NewGateway,
) -> None:
    """Seen: the check ended with a trace, and in a worker nobody saw that it had ended."""
    gateway = new_gateway(transport=WithAnEmptyType())
    assert await warn_of_misfits(gateway.client, gateway.profile) == []
    assert all(line.ok for line in await check_fluent(gateway))


@pytest.mark.parametrize("said", [["DEFAULT:1"], "DEFAULT:1", 5], ids=str)
async def test_a_catalogue_of_an_odd_shape_is_a_line_of_the_check(
    new_gateway: NewGateway, said: object
) -> None:
    """Seen: the check ended with a trace."""
    odd = httpx.Response(200, json={"data": {"c0_catalogue": said}})
    network = Network(instead=lambda request: odd if b"inventoryCatalogue(" in request.content else None)
    lines = await check_fluent(new_gateway(transport=network))
    catalogue = next(line for line in lines if line.name == "Fluent catalogue")
    assert not catalogue.ok and "is no catalogue" in catalogue.detail
