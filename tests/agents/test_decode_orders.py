"""What the orders shell makes of a record: intake's event, one of our commands, or garbage."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.orders import decode
from schemas.invalid import InvalidEvent
from schemas.orders import OrderCancelled, OrderPlaced
from schemas.parsing import parse
from streams.ledger.commands import LineDecided, Tick, encode
from streams.ledger.inputs import CancelOrder, PlaceOrder
from streams.ledger.terms import Envelope, Source, Terms

TERMS = Terms(retention_ms=1, all_or_nothing=True)
PLACED = b'{"order":{"ref":"ORD-1","promotionId":"FLASH-1","items":[{"sku":"A","quantity":2}]}}'


def header(topic: str, mapped: bytes | None = None) -> bytes:
    """The envelope that intake adds."""
    return encode(Envelope(Source(topic, 3, 77, b"its key"), 1_700_000_000_000, TERMS, mapped))


def order_json(**order: Any) -> bytes:
    """An order event of ORD-1."""
    return json.dumps({"order": {"ref": "ORD-1", "promotionId": "FLASH-1"} | order}).encode()


def test_an_order_event_becomes_a_place_order_with_its_source_and_terms() -> None:
    command = decode(PLACED, header("order-placed"))
    assert command == PlaceOrder(
        Source("order-placed", 3, 77, b"its key"),
        TERMS,
        1_700_000_000_000,
        "ORD-1",
        "FLASH-1",
        (("A", 2),),
        PLACED,
    )


def test_equal_skus_are_summed_in_the_order_in_which_they_first_appear() -> None:
    items = [{"sku": sku, "quantity": n} for sku, n in (("B", 1), ("A", 2), ("B", 3), ("C", 1))]
    command = decode(order_json(items=items, note={"ignored": [1.5]}), header("order-placed"))
    assert isinstance(command, PlaceOrder)
    assert command.lines == (("B", 4), ("A", 2), ("C", 1))


def test_a_topic_prefix_does_not_hide_what_the_event_is() -> None:
    assert isinstance(decode(PLACED, header("shop.order-placed")), PlaceOrder)
    assert isinstance(decode(PLACED, header("order-placed.order-cancelled")), CancelOrder)


@pytest.mark.parametrize("absent", [{}, {"items": None, "cancellationRef": None}])
def test_a_cancel_without_items_means_the_whole_order(absent: dict[str, None]) -> None:
    command = decode(order_json(**absent), header("order-cancelled"))
    assert isinstance(command, CancelOrder)
    assert (command.lines, command.cancellation_ref) == ((), "")


def test_a_cancel_keeps_its_reference_and_sums_its_lines() -> None:
    items = [{"sku": "A", "quantity": 1}, {"sku": "A", "quantity": 2}]
    command = decode(order_json(items=items, cancellationRef="RMA-7"), header("order-cancelled"))
    assert isinstance(command, CancelOrder)
    assert (command.lines, command.cancellation_ref) == ((("A", 3),), "RMA-7")


def test_foreign_json_is_read_as_intake_mapped_it_and_kept_as_it_came() -> None:
    foreign = b'{"bestellung": "..."}'
    placed = decode(foreign, header("order-placed", PLACED))
    cancelled = decode(foreign, header("order-cancelled", order_json()))
    assert isinstance(placed, PlaceOrder) and isinstance(cancelled, CancelOrder)
    assert placed.lines == (("A", 2),)
    assert placed.original == cancelled.original == foreign


def test_a_record_without_an_envelope_is_one_of_our_own_commands() -> None:
    decided = LineDecided("FLASH-1", "ORD-1", "A", 2, "")
    assert decode(encode(decided), None) == decided
    assert decode(encode(Tick()), None) == Tick()


@pytest.mark.parametrize(
    ("value", "envelope"),
    [
        (b"", None),
        (b"not ours", None),
        (PLACED, None),
        (PLACED, b"no envelope"),
        (PLACED, header("promotion-start")),
        (b"{", header("order-placed")),
        (b"{}", header("order-cancelled")),
        (order_json(items=[]), header("order-placed")),
        (order_json(items=[{"sku": "A", "quantity": 0}]), header("order-placed")),
        (order_json(items=[{"sku": "A", "quantity": -1}]), header("order-cancelled")),
    ],
)
def test_garbage_is_refused_with_an_error_that_the_shell_dead_letters(
    value: bytes, envelope: bytes | None
) -> None:
    with pytest.raises((msgspec.MsgspecError, InvalidEvent)):
        decode(value, envelope)


@pytest.mark.parametrize("tail", [b',"note":NaN}', b',"order":' + PLACED[len(b'{"order":') :]])
def test_what_only_intake_can_read_is_not_lost(tail: bytes) -> None:
    twisted = PLACED.replace(b'"ref":"ORD-1"', b'"ref":5,"ref":"ORD-1"')[:-1] + tail
    placed = decode(twisted, header("order-placed"))
    cancelled = decode(twisted, header("order-cancelled"))
    assert isinstance(placed, PlaceOrder) and isinstance(cancelled, CancelOrder)
    assert placed.lines == cancelled.lines == (("A", 2),)
    assert placed.order_ref == cancelled.order_ref == "ORD-1"


refs = st.text(min_size=1, max_size=3)
scalars = refs | st.integers(1, 3) | st.none()


def _object(fields: list[tuple[str, str]]) -> str:
    return "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in fields) + "}"


def _field(name: str, value: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, str]]:
    return value.map(lambda found: (name, json.dumps(found)))


_sku, _quantity = _field("sku", refs), _field("quantity", st.integers(1, 3))
_ref, _promotion = _field("ref", refs), _field("promotionId", refs)
_item = st.tuples(_sku, _quantity, st.lists(_sku | _quantity | _field("x", scalars), max_size=2))
_items = st.lists(
    _item.flatmap(lambda parts: st.permutations([*parts[:2], *parts[2]])).map(_object), min_size=1, max_size=3
).map(lambda items: ("items", f"[{','.join(items)}]"))
_more = st.lists(_ref | _promotion | _field("cancellationRef", refs) | _items, max_size=4)
_orders = (
    st.tuples(_ref, _promotion, _items, _more)
    .flatmap(lambda parts: st.permutations([*parts[:3], *parts[3]]))
    .map(_object)
)


@given(_orders, st.sampled_from(["order-placed", "order-cancelled"]))
def test_the_shell_and_intake_read_the_same_event_even_where_a_field_stands_twice(
    order: str, topic: str
) -> None:
    value = f'{{"order":{order}}}'.encode()
    try:
        event = parse(topic, value)
    except InvalidEvent:
        return
    command = decode(value, header(topic))
    assert isinstance(command, PlaceOrder | CancelOrder)
    assert isinstance(event, OrderPlaced | OrderCancelled)
    assert (command.order_ref, command.promotion_id) == event.identity
    assert command.lines == event.normalised_items()
    if isinstance(event, OrderCancelled) and isinstance(command, CancelOrder):
        assert command.cancellation_ref == (event.order.cancellation_ref or "")
