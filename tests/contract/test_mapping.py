"""Foreign JSON becomes our input shape, or a sentence."""

from __future__ import annotations

import json

import pytest
from pydantic import JsonValue

from schemas.invalid import InvalidEvent
from schemas.orders import OrderPlaced
from schemas.parsing import parse
from streams.settings.errors import ConfigurationError
from streams.settings.mapping import apply, compile_mapping, compile_mappings, map_message

BASKETS = json.dumps(
    {
        "header": {"number": "ORD-1", "campaign": {"code": "FLASH-1"}},
        "baskets": [
            {"lines": [{"article": "A", "units": "2"}, {"article": "B", "units": "1"}]},
            {"lines": [{"article": "A", "units": "3"}]},
        ],
    }
).encode()
FIELDS: JsonValue = {
    "order": {
        "ref": "header.number",
        "promotionId": "header.campaign.code",
        "items": "baskets[].lines[].{sku: article, quantity: to_number(units)}",
    }
}
EXPRESSION = (
    "{order: {ref: header.number, promotionId: header.campaign.code, "
    "items: baskets[].lines[].{sku: article, quantity: to_number(units)}}}"
)


@pytest.mark.parametrize("source", [FIELDS, EXPRESSION], ids=["fields", "one expression"])
def test_nested_arrays_become_lines(source: JsonValue) -> None:
    mapping = compile_mappings({"order-placed": source})["order-placed"]
    event = parse("order-placed", map_message(mapping, BASKETS))
    assert isinstance(event, OrderPlaced)
    assert event.identity == ("ORD-1", "FLASH-1")
    assert event.normalised_items() == (("A", 5), ("B", 1))


def test_fields_for_which_nothing_is_found_are_left_out() -> None:
    assert apply(compile_mapping({"a": "x", "b": {"c": "y"}}, ""), {"x": None}) == {"b": {}}


@pytest.mark.parametrize(
    ("source", "where"),
    [
        ({"orders": "x"}, "inputMapping.orders is not an input topic"),
        ({"order-placed": "a["}, "inputMapping.order-placed is not a JMESPath expression: 'a['"),
        ({"order-placed": ""}, "inputMapping.order-placed is not a JMESPath expression"),
        ({"order-placed": "a #"}, "inputMapping.order-placed is not a JMESPath expression"),
        (
            {"order-placed": {"order": {"ref": "a..b"}}},
            "inputMapping.order-placed.order.ref is not a",
        ),
        ({"order-placed": {"order": 3}}, "inputMapping.order-placed.order must be a JMESPath expression"),
        ({"order-placed": {}}, "inputMapping.order-placed must be a JMESPath expression"),
    ],
)
def test_a_mapping_that_does_not_compile_names_its_place(source: dict[str, JsonValue], where: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        compile_mappings(source)
    assert str(caught.value).startswith(where) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("mapping", "sentence"),
    [
        (
            {"order": {"reff": "a"}},
            "order.reff is not a field of the event; these are: ref, promotionId, items.",
        ),
        ({"orders": {"ref": "a"}}, "orders is not a field of the event; these are: order."),
        ("{order: {reff: a}}", "order.reff is not a field of the event"),
        ({"order": {"items": "a[].b[].{sku: c, qty: d}"}}, "order.items.qty is not a field of the event"),
        ({"order": {"items": "a[?b].{qty: d}"}}, "order.items.qty is not a field of the event"),
        ({"order": "x || {reff: a}"}, "order.reff is not a field of the event"),
        ({"order": {"ref": "nope(a)"}}, "order.ref calls nope(), but JMESPath's functions are: abs,"),
        ({"order": {"ref": "a.b[?nope(c)]"}}, "order.ref calls nope(), but JMESPath's functions are: abs,"),
        ({"order": {"ref": "join(a)"}}, "order.ref calls join() with 1 arguments, but it takes 2."),
        (
            {"order": {"ref": "not_null()"}},
            "order.ref calls not_null() with 0 arguments, but it takes at least 1.",
        ),
    ],
)
def test_an_unknown_field_or_function_is_an_error_at_the_start(mapping: JsonValue, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        compile_mappings({"order-placed": mapping})
    assert str(caught.value).startswith(f"inputMapping.order-placed.{sentence}")


def test_a_promotions_ref_is_a_field_in_place_of_its_id() -> None:
    compile_mappings({"promotion-start": {"promotion": {"ref": "a", "skus": "b[*].{sku: c, quantity: d}"}}})


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("lines[?qty > `0`]", b'{"lines":[{"qty":"two"}]}'),
        ("floor(to_number(qty))", b'{"qty":"1e999"}'),
        ("contains(note, 'x')", b"{}"),
        ("to_number(qty)", b'{"qty":"1e999"}'),
    ],
)
def test_whatever_an_expression_makes_of_a_message_it_is_the_message_that_is_invalid(
    expression: str, message: bytes
) -> None:
    with pytest.raises(InvalidEvent, match="does not fit its inputMapping"):
        map_message(compile_mapping(expression, "x"), message)


@pytest.mark.parametrize("value", [None, b"", b"{", b"\xff", b'{"a":NaN}', b"[" * 100_000])
def test_a_message_that_is_not_json_is_invalid(value: bytes | None) -> None:
    with pytest.raises(InvalidEvent):
        map_message(compile_mapping("a", "x"), value)


@pytest.mark.parametrize("expression", ["abs(a)", "sum(a)", "sort_by(a, &b)"])
def test_a_message_that_a_function_does_not_take_is_invalid(expression: str) -> None:
    with pytest.raises(InvalidEvent, match="does not fit its inputMapping"):
        map_message(compile_mapping(expression, "x"), b'{"a":[{"b":1},{"b":"x"}]}')
