"""The built-in documents fit the SDL, alone and in batches, and no batch is too complex for Fluent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLSchema, build_schema, parse, validate

from fluent import load_profile
from fluent.client.documents import DocumentError, Operation, split_alias
from fluent.parts import WINDOW
from rehearsal.fluent.execution import SDL, TEMPLATE_SDL, Documents
from rehearsal.fluent.limits import MAX_COMPLEXITY

PROFILES = ("inventory-quantity", "template")
SAMPLE = {"first": 50, "after": None, "refs": ["R"] * WINDOW, "quantity": -1}


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    return build_schema(SDL.read_text() + TEMPLATE_SDL.read_text())


def operations() -> list[Any]:
    return [
        pytest.param(mapped, id=f"{profile}-{name}")
        for profile in PROFILES
        for name, mapped in load_profile(profile).operations.items()
    ]


def test_the_default_profile_needs_nothing_but_fluents_own_schema() -> None:
    own = build_schema(SDL.read_text())
    for mapped in load_profile("inventory-quantity").operations.values():
        assert validate(own, parse(mapped.operation.text)) == []


@pytest.mark.parametrize("mapped", operations())
def test_a_document_fits_the_schema_alone_and_in_a_full_batch(mapped: Any, schema: GraphQLSchema) -> None:
    operation = mapped.operation
    assert validate(schema, parse(operation.text)) == []
    assert validate(schema, parse(operation.compose(operation.batch))) == []


@pytest.mark.parametrize("mapped", operations())
def test_a_full_batch_is_less_complex_than_fluent_allows(mapped: Any, schema: GraphQLSchema) -> None:
    operation = mapped.operation
    values = dict.fromkeys(operation.variables, "x") | SAMPLE
    calls = [{name: values[name] for name in operation.variables}] * operation.batch
    body = operation.request(calls)
    prepared = Documents(schema).prepare(body["query"]).operation(operation.name)
    assert prepared is not None
    assert prepared.complexity(body["variables"]) < MAX_COMPLEXITY


def test_calls_in_a_batch_do_not_touch_each_others_variables() -> None:
    text = "query Q($a: Int) { x: field(a: $a) { y } z(b: {c: $a}) { ...F } } fragment F on T { w }"
    operation = Operation("Q.graphql", text)
    body = operation.request([{"a": 1}, {"a": 2}])
    assert body["variables"] == {"c0_a": 1, "c1_a": 2}
    for piece in ("$c0_a: Int, $c1_a: Int", "c0_x: field(a: $c0_a)", "c1_z: z(b: { c: $c1_a })"):
        assert piece in body["query"]
    assert body["query"].count("fragment F") == 1


def test_an_alias_names_its_call() -> None:
    assert split_alias("c12_parts") == (12, "parts")
    assert [split_alias(name) for name in ("parts", "c_x", "", 3, "cx_y")] == [None] * 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("query {", "is not GraphQL"),
        ("query { a }", "exactly one operation, with a name"),
        ("query A { a } query B { b }", "exactly one operation"),
        ("query A { ...F } fragment F on Query { a }", "without fragments"),
    ],
)
def test_a_document_that_cannot_be_used_says_why(text: str, said: str) -> None:
    with pytest.raises(DocumentError, match=said):
        Operation("X.graphql", text)


def test_every_document_of_a_built_in_profile_is_used() -> None:
    for profile in PROFILES:
        folder = Path(load_profile(profile).operations["findParts"].operation.source).parent
        used = {Path(mapped.operation.source) for mapped in load_profile(profile).operations.values()}
        assert used == set(folder.glob("*.graphql"))
