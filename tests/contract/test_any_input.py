"""Whatever comes in is read or refused; nothing else can happen, and the schemas say the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from schemas.documents import json_schemas
from schemas.invalid import InvalidEvent
from schemas.parsing import EVENTS, parse
from schemas.promotions import PromotionEnd

SCHEMAS = {name: Draft202012Validator(schema) for name, schema in json_schemas().items()}

odd_values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=300), st.just([]), st.just({})
)
lines = st.lists(
    st.fixed_dictionaries(
        {"sku": st.text(max_size=3) | odd_values, "quantity": st.integers(1, 9) | odd_values}
    ),
    max_size=4,
)
fields = st.fixed_dictionaries(
    {},
    optional={
        "id": st.text(min_size=1, max_size=5) | odd_values,
        "ref": st.text(min_size=1, max_size=5) | odd_values,
        "promotionId": st.text(min_size=1, max_size=5) | odd_values,
        "items": lines | odd_values,
        "skus": lines | odd_values,
        "durationMinutes": st.integers(0, 11_000) | odd_values,
        "expiresAt": st.sampled_from(["2030-01-01T00:00:00Z", "2030-01-01"]) | odd_values,
        "attributes": odd_values,
        "reason": odd_values,
    },
)
events = st.fixed_dictionaries({}, optional={"order": fields | odd_values, "promotion": fields | odd_values})
topics = st.sampled_from(sorted(EVENTS))


@given(topics, st.binary(max_size=200))
def test_any_bytes_are_an_event_or_an_invalid_event(topic: str, value: bytes) -> None:
    try:
        parse(topic, value)
    except InvalidEvent as invalid:
        assert invalid.error.endswith(".") and invalid.recommendation


@settings(max_examples=300)
@given(topics, events)
@example("promotion-end", {"promotion": {"id": "P", "ref": 7}})
def test_what_is_read_is_valid_by_the_json_schema_too(topic: str, event: dict[str, Any]) -> None:
    value = json.dumps(event).encode()
    try:
        read = parse(topic, value)
    except InvalidEvent as invalid:
        assert invalid.error.count("\n") == 0
        return
    assert SCHEMAS[topic].is_valid(json.loads(value))
    if not isinstance(read, PromotionEnd):
        skus = [sku for sku, _ in read.normalised_items()]
        assert len(skus) == len(set(skus))


LINE = {"sku": "S", "quantity": 1}
BOTH = {"durationMinutes": 1, "expiresAt": "2030-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("topic", "event"),
    [
        ("order-placed", {"order": {"ref": "A", "promotionId": "P", "items": []}}),
        ("order-placed", {"order": {"ref": "A", "promotionId": "P", "items": [{**LINE, "quantity": 0}]}}),
        ("order-placed", {"order": {"ref": "A\t", "promotionId": "P", "items": [LINE]}}),
        ("promotion-start", {"promotion": {"skus": [LINE]}}),
        ("promotion-start", {"promotion": {"id": "P", "skus": [LINE], **BOTH}}),
        ("promotion-end", {"promotion": {"reason": "x"}}),
    ],
)
def test_the_json_schema_refuses_what_the_model_refuses(topic: str, event: dict[str, Any]) -> None:
    assert not SCHEMAS[topic].is_valid(event)
    with pytest.raises(InvalidEvent):
        parse(topic, json.dumps(event).encode())
