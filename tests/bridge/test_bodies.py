"""What a body must be: the template's errors in its own words, and everything else in one sentence."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.bridge.decisions import Decider
from tests.bridge.process import BridgeProcess, Caller, placed, signed, started

DATA = "Invalid promotion data"
NO_ID = "Missing promotion ID"
START, CONSUME, CANCEL, END = "/start-flash-sale", "/consume-reservation", "/cancel-order", "/end-flash-sale"
SKUS = [{"sku": "S", "quantity": 1}]

SEEDS_ERRORS: list[tuple[str, Any, str]] = [
    (START, {}, DATA),
    (START, {"promotion": None}, DATA),
    (START, {"promotion": {"skus": SKUS}}, DATA),
    (START, {"promotion": {"id": "", "skus": SKUS}}, DATA),
    (START, {"promotion": {"id": "P"}}, DATA),
    (START, {"promotion": {"id": "P", "skus": []}}, DATA),
    (START, ["promotion"], DATA),
    (CONSUME, {}, NO_ID),
    (CONSUME, {"order": {"ref": "O", "items": SKUS}}, NO_ID),
    (CONSUME, {"order": "O"}, NO_ID),
    (CANCEL, {"order": {"ref": "O"}}, NO_ID),
    (END, {"promotion": {}}, DATA),
]


@pytest.mark.parametrize(("path", "body", "error"), SEEDS_ERRORS)
def test_what_the_template_requires_is_missed_in_its_words(
    caller: Caller, path: str, body: object, error: str
) -> None:
    answer = caller.post(path, body)
    assert answer.status_code == 400
    content = answer.json()
    assert content["status"] == 400 and content["error"] == error
    assert content["recommendation"].startswith(
        ("Request must include promotion.id", "Include order.promotionId")
    )


NOT_JSON = [b"", b"{", b"not json", b'{"order":{"ref":"O"', b"\xff\xfe{}", b"[" * 100_000]


@pytest.mark.parametrize("body", NOT_JSON, ids=[str(body[:12]) for body in NOT_JSON])
def test_what_is_no_json_is_a_400(caller: Caller, body: bytes) -> None:
    for path in (START, CONSUME, CANCEL, END):
        answer = caller.post(path, body)
        assert answer.status_code == 400
        assert "JSON" in answer.json()["error"] and answer.json()["recommendation"]


BAD_VALUES: list[tuple[str, Any, str]] = [
    (START, started("P", {"S": -5}), "promotion.skus[0].quantity"),
    (START, started("P", {"S": 1}, durationMinutes=0), "promotion.durationMinutes"),
    (START, started("P", {"S": 1}, expiresAt="2001-01-01T00:00:00Z"), "promotion.expiresAt"),
    (START, started("P", {"S": 1}, durationMinutes=5, expiresAt="2999-01-01T00:00:00Z"), "durationMinutes"),
    (START, started("x" * 257, {"S": 1}), "promotion.id"),
    (START, started("P", {f"SKU-{i}": 1 for i in range(10_001)}), "more than 10,000 SKUs"),
    (CONSUME, placed("O", quantity=-1), "order.items[0].quantity"),
    (CONSUME, placed("O\n"), "order.ref"),
    (CONSUME, {"order": {"promotionId": "P", "items": SKUS}}, "order.ref is missing"),
    (CONSUME, {"order": {"ref": "O", "promotionId": "P", "items": []}}, "order.items"),
    (CONSUME, {"order": {"ref": "O", "promotionId": "P", "items": SKUS * 501}}, "order.items"),
    (CANCEL, {"order": {"ref": "O", "promotionId": 7}}, "order.promotionId must be a string"),
    (END, {"promotion": {"id": ["P"]}}, "promotion.id"),
]


@pytest.mark.parametrize(("path", "body", "part"), BAD_VALUES, ids=[part for *_, part in BAD_VALUES])
def test_a_bad_value_is_a_422_that_names_it(caller: Caller, path: str, body: object, part: str) -> None:
    answer = caller.post(path, body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    content = answer.json()
    assert part in content["error"] and content["reason"] == "INVALID" and content["recommendation"]


def test_nothing_that_was_refused_is_in_kafka(caller: Caller, decider: Decider) -> None:
    assert caller.post(CONSUME, placed("REFUSED-1", quantity=0)).status_code == 422
    assert not [value for _, value in decider.read("order-placed") if b"REFUSED-1" in value]


def test_the_body_reaches_kafka_byte_by_byte_as_it_was_sent(caller: Caller, decider: Decider) -> None:
    body = json.dumps(placed("BYTES-1") | {"of the shop's own": [1.50, None]}, indent=3).encode()
    assert caller.post(CONSUME, body).status_code == 202
    assert body in [value for _, value in decider.read("order-placed")]


def test_a_start_of_ten_thousand_skus_fits(caller: Caller) -> None:
    body = json.dumps(started("LARGE", {f"SKU-{'x' * 40}-{i:05}": 10 for i in range(10_000)})).encode()
    assert 700_000 < len(body) < 1_000_000
    assert caller.post(START, body).status_code == 202


def test_the_content_type_does_not_matter(bridge: BridgeProcess) -> None:
    body = json.dumps(placed("TYPE-1")).encode()
    for headers in ({}, {"Content-Type": "text/plain"}):
        answer = httpx.post(
            bridge.url + CONSUME,
            content=body,
            headers={**signed("POST", CONSUME, body), **headers},
            trust_env=False,
        )
        assert answer.status_code == 202


def test_an_unknown_route_or_method_is_a_problem_too(caller: Caller) -> None:
    for answer, status in (
        (caller.get("/nothing"), 404),
        (caller.get(CONSUME), 405),
        (caller.get("/orders/"), 404),
    ):
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["error"] and answer.json()["recommendation"]
    assert caller.get(CONSUME).headers["allow"] == "POST"
