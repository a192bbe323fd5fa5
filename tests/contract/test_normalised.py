"""The quick reading of orders accepts nothing that the contract's models refuse, and reads what they read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from schemas.invalid import InvalidEvent
from schemas.normalised import (
    MAX_QUICK_BYTES,
    Cancelled,
    Placed,
    quick_cancelled,
    quick_placed,
    read_cancelled,
    read_placed,
)
from schemas.orders import OrderCancelled, OrderPlaced
from schemas.parsing import parse
from tests.contract.odd_orders import messages, plain_cancelled, plain_placed

Read = Placed | Cancelled | None
QUICK: dict[str, Callable[[bytes], Read]] = {"order-placed": quick_placed, "order-cancelled": quick_cancelled}
READ: dict[str, Callable[[bytes | None], Read]] = {
    "order-placed": read_placed,
    "order-cancelled": read_cancelled,
}
TOPICS = sorted(QUICK)
PLAIN = b'{"order":{"ref":"O","promotionId":"P","items":[{"sku":"A","quantity":1}]}}'


def by_the_model(topic: str, value: bytes) -> Read:
    """The event as the contract's model reads it, None where it refuses."""
    try:
        read = cast(OrderPlaced | OrderCancelled, parse(topic, value))
    except InvalidEvent:
        return None
    if isinstance(read, OrderPlaced):
        return Placed(*read.identity, read.normalised_items())
    return Cancelled(*read.identity, read.order.cancellation_ref or "", read.normalised_items())


def compared(topic: str, value: bytes) -> tuple[Read, Read]:
    """What the quick way and the model say, after a look that they do not contradict each other."""
    quick, model = QUICK[topic](value), by_the_model(topic, value)
    assert quick is None or quick == model
    if model is None:
        with pytest.raises(InvalidEvent):
            READ[topic](value)
    else:
        assert READ[topic](value) == model
    return quick, model


@settings(max_examples=500)
@given(st.sampled_from(TOPICS), messages())
def test_what_is_read_quickly_is_what_the_model_reads(topic: str, value: bytes) -> None:
    quick, model = compared(topic, value)
    event(f"quick {'accepts' if quick else 'passes on'}, model {'accepts' if model else 'refuses'}")


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize(
    "note",
    [
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'{"\xc0\x80":1}',
        b"1" * 4_301,
        b"[" * 260 + b"]" * 260,
        b'{"a":' * 260 + b"1" + b"}" * 260,
        b"[[]," * 90 + b"1",
        b'"\\ud800"',
        b'"\x01"',
        b"NaN",
        b"1e999",
        b"01",
        b"1.",
        b"[1,]",
        b"/**/1",
    ],
    ids=lambda note: note[:8].decode("latin-1"),
)
def test_nothing_more_is_json_in_a_field_that_is_passed_over(topic: str, note: bytes) -> None:
    compared(topic, PLAIN.replace(b'"ref":', b'"note":' + note + b',"ref":'))


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize(
    "quantity", [b"1.0", b"1e0", b"true", b'"1"', b"-0", b"0", b"01", b"1000000001", b"null", b"1" * 30]
)
def test_a_quantity_that_is_none_is_the_models_to_refuse(topic: str, quantity: bytes) -> None:
    quick, model = compared(topic, PLAIN.replace(b'"quantity":1', b'"quantity":' + quantity))
    assert (quick, model) == (None, None)


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("field", ["ref", "promotionId", "cancellationRef", "sku"])
@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "a\tb",
        "\x7f",
        "\x85",
        "\u200b",
        "A" * 256,
        "A" * 257,
        "é" * 128,
        "é" * 129,
        "😀" * 64,
        "😀" * 65,
    ],
    ids=ascii,
)
def test_a_reference_has_the_same_limits_in_every_field(topic: str, field: str, text: str) -> None:
    line: dict[str, Any] = {"sku": "A", "quantity": 1}
    order: dict[str, Any] = {"ref": "O", "promotionId": "P", "items": [line], "cancellationRef": "C"}
    (line if field == "sku" else order)[field] = text
    for ascii_only in (True, False):
        compared(topic, json.dumps({"order": order}, ensure_ascii=ascii_only).encode())


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("count", [0, 1, 500, 501])
def test_the_number_of_lines_has_the_same_limits(topic: str, count: int) -> None:
    items = [{"sku": "A", "quantity": 1}] * count
    compared(topic, json.dumps({"order": {"ref": "O", "promotionId": "P", "items": items}}).encode())


@pytest.mark.parametrize(
    ("topic", "order"), [("order-placed", plain_placed), ("order-cancelled", plain_cancelled)]
)
@given(data=st.data(), ascii_only=st.booleans())
def test_a_plain_message_is_read_quickly(
    topic: str, order: st.SearchStrategy[object], data: st.DataObject, ascii_only: bool
) -> None:
    value = json.dumps({"order": data.draw(order)}, ensure_ascii=ascii_only).encode()
    quick, _ = compared(topic, value)
    assert quick is not None or len(value) > MAX_QUICK_BYTES


def test_a_message_without_a_value_is_refused_in_words() -> None:
    for topic, read in READ.items():
        with pytest.raises(InvalidEvent, match=f"no value, but {topic} requires"):
            read(None)
