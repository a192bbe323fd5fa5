"""What a promotion event may say, and when it says that a sale is over."""

from __future__ import annotations

import pytest

from schemas.invalid import InvalidEvent
from schemas.parsing import parse
from schemas.promotions import PromotionEnd, PromotionStart
from tests.contract.events import promotion

NOON_MS = 1_764_331_200_000
"""2025-11-28T12:00:00Z."""


def start(**changes: object) -> PromotionStart:
    event = parse("promotion-start", promotion(**changes))
    assert isinstance(event, PromotionStart)
    return event


def error_of(value: bytes, topic: str = "promotion-start") -> str:
    with pytest.raises(InvalidEvent) as caught:
        parse(topic, value)
    return caught.value.error


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


def test_ref_is_accepted_in_place_of_id() -> None:
    assert start(id=..., ref="FLASH-1") == start()
    assert start(id="FLASH-1", ref="OTHER").identity == "FLASH-1"
    assert error_of(promotion(id=...)) == "promotion.id is missing."


def test_a_sku_listed_twice_is_summed() -> None:
    skus = [{"sku": "A", "quantity": 60}, {"sku": "B", "quantity": 1}, {"sku": "A", "quantity": 40}]
    assert start(skus=skus).normalised_items() == (("A", 100), ("B", 1))


def test_a_promotion_has_1_to_10_000_skus() -> None:
    skus = [{"sku": f"SKU-{number}", "quantity": 1} for number in range(10_001)]
    assert len(start(skus=skus[:-1] + skus[:5]).normalised_items()) == 10_000
    assert error_of(promotion(skus=skus)) == "promotion has more than 10,000 SKUs."
    assert error_of(promotion(skus=[])) == "promotion.skus must have at least 1 entry."


def test_the_deadline_is_the_start_plus_the_duration() -> None:
    assert start(durationMinutes=30).expires_at_ms(NOON_MS, 7_200_000) == NOON_MS + 1_800_000


def test_the_default_duration_counts_where_none_is_given() -> None:
    assert start().expires_at_ms(NOON_MS, 7_200_000) == NOON_MS + 7_200_000
    assert start(durationMinutes=None, expiresAt=None) == start()


@pytest.mark.parametrize(
    "text",
    [
        "2025-11-28T12:00:00.001Z",
        "2025-11-28T13:00:00.001+01:00",
        "2025-11-28T07:00:00.001999-05:00",
    ],
)
def test_expires_at_is_a_moment_to_the_millisecond(text: str) -> None:
    assert start(expiresAt=text).expires_at_ms(NOON_MS, 0) == NOON_MS + 1


@pytest.mark.parametrize("text", ["2025-11-28T12:00:00Z", "2025-11-28T11:59:59.999Z", "1999-01-01T00:00Z"])
def test_an_expires_at_that_is_not_after_the_start_is_invalid(text: str) -> None:
    with pytest.raises(InvalidEvent, match="must lie after the time of the start"):
        start(expiresAt=text).expires_at_ms(NOON_MS, 0)


@pytest.mark.parametrize(
    "text",
    [
        "2025-11-28T12:00:00",
        "2025-11-28",
        "2025-13-28T12:00:00Z",
        "2025-02-30T12:00:00Z",
        "2025-11-28T25:00:00Z",
        "2025-11-28T12:00:00+99:99",
        "9999-12-31T23:59:59-10:00",
        "0001-01-01T00:00:00Z",
        "1764331200",
        1_764_331_200,
        "tomorrow",
    ],
)
def test_an_expires_at_without_a_moment_is_invalid(text: object) -> None:
    assert error_of(promotion(expiresAt=text)).startswith("promotion.expiresAt must")


def test_both_duration_and_expires_at_is_invalid() -> None:
    error = error_of(promotion(durationMinutes=60, expiresAt="2030-01-01T00:00:00Z"))
    assert "both durationMinutes and expiresAt" in error


@pytest.mark.parametrize("minutes", [0, -1, 10_081, "60", 60.0, True])
def test_a_duration_out_of_bounds_is_invalid(minutes: object) -> None:
    assert error_of(promotion(durationMinutes=minutes)).startswith("promotion.durationMinutes must be")


@pytest.mark.parametrize(("minutes", "unusual"), [(1, 1), (29, 29), (30, None), (120, None), (121, 121)])
def test_a_duration_outside_30_to_120_minutes_is_worth_a_warning(minutes: int, unusual: int | None) -> None:
    assert start(durationMinutes=minutes).unusual_minutes == unusual


def test_attributes_are_any_json_with_one_form_of_bytes() -> None:
    assert start(attributes={"b": [1, None], "a": "é"}).attributes_json() == '{"a":"é","b":[1,null]}'.encode()
    assert start().attributes_json() == b""
    assert start(attributes=0).attributes_json() == b"0"


def test_attributes_are_limited_in_size_and_depth() -> None:
    assert start(attributes="x" * 4_094).attributes_json()
    assert "at most 4096 bytes" in error_of(promotion(attributes="x" * 4_095))
    assert start(attributes=nested(16)).attributes_json()
    assert "at most 16 levels" in error_of(promotion(attributes=nested(17)))


def test_attributes_with_nan_are_invalid() -> None:
    assert "NaN" in error_of(promotion(attributes=[float("nan")]))


def test_an_end_names_the_promotion_by_id_or_ref() -> None:
    end = parse("promotion-end", b'{"promotion":{"ref":"FLASH-1","reason":"wrong price"}}')
    assert isinstance(end, PromotionEnd)
    assert (end.identity, end.promotion.reason) == ("FLASH-1", "wrong price")
    assert error_of(b'{"promotion":{}}', "promotion-end") == "promotion.id is missing."
