"""Paging, complexity, sizes and rates: the limits that a client of Fluent runs into."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.rehearsal.fluent.caller import CATALOGUE, Caller, codes
from tests.support.fluent import FluentSimulator

PAGE = """
query Page(
  $sku: [String!], $catalogue: InventoryCatalogueKey, $first: Int, $after: String, $last: Int, $before: String
) {
  inventoryPositions(
    productRef: $sku, catalogue: $catalogue, first: $first, after: $after, last: $last, before: $before
  ) {
    edges { cursor node { locationRef } }
    pageInfo { hasNextPage hasPreviousPage }
  }
}
"""
LOCATIONS = [f"LOC-{number:02d}" for number in range(25)]
MANY = "MANY"


@pytest.fixture(scope="module")
def spread() -> Iterator[Caller]:
    """A SKU at 25 locations, and another at 5,001."""
    stock = {"SPREAD": dict.fromkeys(LOCATIONS, 4), MANY: {f"L{number}": 1 for number in range(5_001)}}
    with FluentSimulator(stock) as simulator, Caller(simulator.base_url) as caller:
        caller.login()
        yield caller


def page(caller: Caller, **arguments: object) -> tuple[list[str], list[str], dict[str, bool]]:
    """Locations, cursors and pageInfo of one page."""
    found = caller.data(PAGE, sku=["SPREAD"], catalogue=CATALOGUE, **arguments)["inventoryPositions"]
    edges = found["edges"]
    return [e["node"]["locationRef"] for e in edges], [e["cursor"] for e in edges], found["pageInfo"]


def test_a_page_has_ten_records_unless_more_are_asked_for(spread: Caller) -> None:
    locations, _, info = page(spread)
    assert locations == LOCATIONS[:10]
    assert info == {"hasNextPage": True, "hasPreviousPage": False}


def test_following_the_last_edges_cursor_sees_every_record_once(spread: Caller) -> None:
    seen: list[str] = []
    cursor, more = None, True
    while more:
        locations, cursors, info = page(spread, first=7, after=cursor)
        seen += locations
        cursor, more = cursors[-1], info["hasNextPage"]
    assert seen == LOCATIONS


def test_pages_can_be_read_backwards(spread: Caller) -> None:
    locations, cursors, info = page(spread, last=10)
    assert (locations, info) == (LOCATIONS[15:], {"hasNextPage": False, "hasPreviousPage": True})
    locations, _, info = page(spread, last=10, before=cursors[0])
    assert (locations, info) == (LOCATIONS[5:15], {"hasNextPage": True, "hasPreviousPage": True})


def test_more_than_5000_records_are_never_in_a_page(spread: Caller) -> None:
    query = """
    query Many($catalogue: InventoryCatalogueKey) {
      inventoryPositions(productRef: ["MANY"], catalogue: $catalogue, first: 10000) {
        edges { node { ref } }
        pageInfo { hasNextPage }
      }
    }
    """
    found = spread.data(query, catalogue=CATALOGUE)["inventoryPositions"]
    assert len(found["edges"]) == 5_000
    assert found["pageInfo"]["hasNextPage"]


@pytest.mark.parametrize("arguments", [{"first": 0}, {"first": -1}, {"after": "???"}, {"after": "eHh4"}])
def test_a_senseless_page_is_an_error(spread: Caller, arguments: dict[str, object]) -> None:
    assert codes(spread.ask(PAGE, sku=["SPREAD"], catalogue=CATALOGUE, **arguments)) == ["C0122E"]


def test_there_is_no_end_cursor(fluent: Caller) -> None:
    envelope = fluent.ask("{ inventoryPositions { pageInfo { endCursor } } }")
    assert envelope["data"] is None
    assert "endCursor" in envelope["errors"][0]["message"]


NESTED = """
query Nested($outer: Int, $inner: Int = 100) {
  inventoryPositions(first: $outer) { edges { node { ...Deep } } }
}
fragment Deep on InventoryPosition { quantities(first: $inner) { edges { node { ref } } } }
"""


@pytest.mark.parametrize(("outer", "inner"), [(100, 111), (5_000, 2), (111, None)])
def test_nested_pages_multiply_until_the_query_is_too_complex(
    fluent: Caller, outer: int, inner: int | None
) -> None:
    variables = {"outer": outer} if inner is None else {"outer": outer, "inner": inner}
    envelope = fluent.ask(NESTED, **variables)
    assert envelope["data"] is None
    assert codes(envelope) == ["C0001E"]


def test_nested_pages_within_the_limit_are_answered(fluent: Caller) -> None:
    assert "errors" not in fluent.ask(NESTED, outer=100, inner=110)


def test_an_aggregate_weighs_ten(fluent: Caller) -> None:
    def query(fields: int) -> str:
        aggregate = 'inventoryPositionAggregate(catalogue: {ref: "DEFAULT:1"}, productRef: "SKU-000") { sum }'
        return "{" + "\n".join(f"a{number}: {aggregate}" for number in range(fields)) + "}"

    assert "errors" not in fluent.ask(query(1_111))
    assert codes(fluent.ask(query(1_112))) == ["C0001E"]


def test_a_body_above_2_mb_is_refused(fluent: Caller) -> None:
    assert fluent.post("{ me { ref } }" + " " * (2 * 1024 * 1024)).status_code == 413


def test_a_body_of_unknown_length_is_measured_as_it_comes(fluent: Caller) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(33):
            yield b" " * 65_536

    headers = {"authorization": fluent.authorization}
    try:
        assert fluent.http.post("/graphql", content=pieces(), headers=headers).status_code == 413
    except httpx.TransportError:
        # The server may have closed before the last piece was written: refused as well.
        assert fluent.data("{ me { ref } }") == {"me": {"ref": "simulator"}}


def test_a_burst_above_the_rate_gets_429_with_retry_after(fluent: Caller, simulator: FluentSimulator) -> None:
    simulator.control(requests_per_second=5, retry_after_seconds=7)
    answers = [fluent.post("{ me { ref } }") for _ in range(20)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert {answer.headers["retry-after"] for answer in refused} == {"7"}
    assert answers[0].status_code == 200


def test_the_rate_limit_can_answer_as_fluents_graphql_does(
    fluent: Caller, simulator: FluentSimulator
) -> None:
    simulator.control(requests_per_second=5, rate_limit_answer="C0011")
    envelopes = [fluent.ask("{ me { ref } }") for _ in range(20)]
    assert {tuple(codes(envelope)) for envelope in envelopes} == {(), ("C0011E",)}


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"[]", b"{}", b'{"query":1}', b'{"query":"{me{ref}}","variables":[1]}']
)
def test_what_is_no_graphql_request_is_a_400_with_a_sentence(fluent: Caller, content: bytes) -> None:
    answer = fluent.http.post("/graphql", content=content, headers={"authorization": fluent.authorization})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("not a GraphQL request: ")


def test_a_document_that_does_not_fit_the_schema_is_refused_with_the_field(fluent: Caller) -> None:
    for query, name in (
        ("{ inventoryPositions { sku } }", "sku"),
        ("{ me { ref }", "Syntax"),
        ("query A { me { ref } } query B { me { ref } }", "operation"),
        ('mutation { updateInventoryQuantity(input: {id: "1"}) { ref } }', "id"),
    ):
        error = fluent.ask(query)["errors"][0]
        assert name in error["message"]
        assert error["extensions"] == {"classification": "ValidationError"}


def test_a_wrong_type_in_the_variables_is_refused(fluent: Caller, sku: str) -> None:
    envelope = fluent.ask(PAGE, sku=[sku], catalogue="DEFAULT:1")
    assert envelope["data"] is None
    assert "catalogue" in envelope["errors"][0]["message"]
