"""What an order event may say, and what is said about one that cannot be read."""

from __future__ import annotations

import pytest

from schemas.invalid import InvalidEvent
from schemas.orders import OrderCancelled, OrderPlaced
from schemas.parsing import parse
from schemas.reasons import RECOMMENDATIONS, Reason
from tests.contract.events import order


def placed(**changes: object) -> OrderPlaced:
    event = parse("order-placed", order(**changes))
    assert isinstance(event, OrderPlaced)
    return event


def cancelled(**changes: object) -> OrderCancelled:
    event = parse("order-cancelled", order(**changes))
    assert isinstance(event, OrderCancelled)
    return event


def line(sku: object = "S", quantity: object = 1) -> dict[str, object]:
    return {"sku": sku, "quantity": quantity}


def error_of(topic: str, value: bytes | None) -> str:
    with pytest.raises(InvalidEvent) as caught:
        parse(topic, value)
    assert caught.value.reason is Reason.INVALID
    assert caught.value.recommendation == RECOMMENDATIONS[Reason.INVALID]
    return caught.value.error


def test_equal_skus_are_summed_in_first_seen_order() -> None:
    event = placed(items=[line("B", 2), line("A", 1), line("B", 3)])
    assert event.normalised_items() == (("B", 5), ("A", 1))


def test_an_order_is_identified_by_its_ref_and_its_promotion() -> None:
    assert placed(ref="ORD-9", promotionId="P").identity == ("ORD-9", "P")


def test_unknown_fields_are_ignored() -> None:
    assert placed(customer={"name": "x"}, items=[{**line(), "price": 1.5}]) == placed(items=[line()])


def test_the_largest_quantities_still_sum_exactly() -> None:
    event = placed(items=[line("S", 1_000_000_000)] * 500)
    assert event.normalised_items() == (("S", 500_000_000_000),)


@pytest.mark.parametrize("quantity", ["2", 2.0, True, None, 0, -3, 1_000_000_001, 10**30, [1]])
def test_a_quantity_that_is_not_a_positive_whole_number_is_invalid(quantity: object) -> None:
    assert "order.items[0].quantity must be" in error_of("order-placed", order(items=[line("S", quantity)]))


def test_the_error_names_the_field_and_the_value() -> None:
    error = error_of("order-placed", order(items=[line(), line("S", -3)]))
    assert error == "order.items[1].quantity must be at least 1, but is -3."


@pytest.mark.parametrize("field", ["ref", "promotionId"])
@pytest.mark.parametrize("value", ["", "a\x00", "a\nb", "\x7f", "a\x85", 5, None, {}, "a" * 257, "é" * 129])
def test_a_ref_that_breaks_a_limit_is_invalid(field: str, value: object) -> None:
    assert f"order.{field} must" in error_of("order-placed", order(**{field: value}))


@pytest.mark.parametrize("ref", ["a", "a" * 256, "é" * 128, "注文-1", " spaced ", "🛒" * 64])
def test_a_ref_of_up_to_256_bytes_is_taken_as_it_is(ref: str) -> None:
    assert placed(ref=ref).order.ref == ref


def test_a_lone_surrogate_is_invalid() -> None:
    value = b'{"order":{"ref":"\\ud800","promotionId":"P","items":[{"sku":"S","quantity":1}]}}'
    assert "not valid JSON" in error_of("order-placed", value)


def test_an_order_has_1_to_500_lines() -> None:
    assert len(placed(items=[line()] * 500).order.items) == 500
    assert (
        error_of("order-placed", order(items=[line()] * 501)) == "order.items must have at most 500 entries."
    )
    assert error_of("order-placed", order(items=[])) == "order.items must have at least 1 entry."
    assert error_of("order-placed", order(items=...)) == "order.items is missing."


def test_a_wire_name_in_snake_case_is_an_unknown_field() -> None:
    value = order(promotionId=..., promotion_id="P")
    assert error_of("order-placed", value) == "order.promotionId is missing."


@pytest.mark.parametrize(
    "value",
    [b"", b"\xff\xfe", b"{", b"[]", b"null", b"7", b'"x"', b"{}", b'{"order":[]}', b"[" * 100_000, None],
)
def test_what_is_not_the_expected_object_is_invalid(value: bytes | None) -> None:
    assert error_of("order-placed", value).endswith(".")


def test_a_nesting_bomb_in_an_unknown_field_is_invalid() -> None:
    bomb = order().replace(b'{"order"', b'{"x":' + b"[" * 50_000 + b"]" * 50_000 + b',"order"')
    assert "recursion limit" in error_of("order-placed", bomb)


def test_of_a_field_given_twice_the_last_one_counts() -> None:
    value = b'{"order":{"ref":"A","ref":"B","promotionId":"P","items":[{"sku":"S","quantity":1}],"x":NaN}}'
    event = parse("order-placed", value)
    assert event.identity == ("B", "P")


def test_a_long_value_is_cut_in_the_error() -> None:
    assert len(error_of("order-placed", order(ref="x" * 100_000))) < 250


def test_a_cancel_without_items_means_the_whole_order() -> None:
    assert cancelled(items=...).order.items is None
    assert cancelled(items=None) == cancelled(items=...)
    assert cancelled(items=...).normalised_items() == ()


def test_a_cancel_with_empty_items_is_invalid() -> None:
    assert "order.items" in error_of("order-cancelled", order(items=[]))


def test_a_partial_cancel_carries_its_own_reference() -> None:
    event = cancelled(cancellationRef="RMA-7", items=[line("A", 1), line("A", 1)])
    assert event.order.cancellation_ref == "RMA-7"
    assert event.normalised_items() == (("A", 2),)
    assert event.identity == ("ORD-1", "FLASH-1")
    assert "order.cancellationRef" in error_of("order-cancelled", order(cancellationRef=""))
