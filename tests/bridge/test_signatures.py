"""Who may send: HMAC signatures over real connections."""

from __future__ import annotations

import hashlib
import hmac
import json
import time

import httpx
import pytest
from pydantic import SecretStr

from bridge.signing import WINDOW_S, Signatures, sign
from tests.bridge.decisions import Decider
from tests.bridge.process import CLIENT, SECRET, BridgeProcess, Caller, placed, signed

ROUTE = "/consume-reservation"


def body_of(ref: str) -> bytes:
    return json.dumps(placed(ref)).encode()


def post(bridge: BridgeProcess, path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
    return httpx.post(bridge.url + path, content=body, headers=headers, trust_env=False, timeout=30)


def test_the_signature_is_the_hmac_of_timestamp_method_path_and_body() -> None:
    expected = hmac.new(b"key", b'1700000000.POST./cancel-order.{"a":1}', hashlib.sha256).hexdigest()
    assert sign("key", 1_700_000_000, "POST", "/cancel-order", b'{"a":1}') == f"sha256={expected}"


def test_a_signed_request_is_accepted_once_it_is_in_kafka(caller: Caller, decider: Decider) -> None:
    answer = caller.post(ROUTE, placed("SIGNED-1"))
    assert answer.status_code == 202
    assert answer.json() == {
        "status": "accepted",
        "orderRef": "SIGNED-1",
        "promotionId": "P",
        "statusUrl": "/orders/SIGNED-1",
    }
    assert [value for _, value in decider.read("order-placed") if b"SIGNED-1" in value] == [
        body_of("SIGNED-1")
    ]


def test_the_digits_and_the_scheme_may_be_in_capitals(bridge: BridgeProcess) -> None:
    headers = signed("POST", ROUTE, body_of("CAPITALS"))
    given = headers | {"X-Signature": headers["X-Signature"].upper()}
    assert post(bridge, ROUTE, body_of("CAPITALS"), given).status_code == 202


WRONG = {
    "no signature at all": {},
    "another secret": signed("POST", ROUTE, body_of("W"), secret="other"),
    "another client": signed("POST", ROUTE, body_of("W"), client="nobody"),
    "no client": {k: v for k, v in signed("POST", ROUTE, body_of("W")).items() if k != "X-Client-Id"},
    "another body": signed("POST", ROUTE, body_of("V")),
    "another method": signed("GET", ROUTE, body_of("W")),
    "another route": signed("POST", "/cancel-order", body_of("W")),
    "a query that was not signed": signed("POST", f"{ROUTE}?x=1", body_of("W")),
    "a clock behind": signed("POST", ROUTE, body_of("W"), at_s=time.time() - WINDOW_S - 60),
    "a clock ahead": signed("POST", ROUTE, body_of("W"), at_s=time.time() + WINDOW_S + 86_400),
    "no scheme": {
        name: value.removeprefix("sha256=") for name, value in signed("POST", ROUTE, body_of("W")).items()
    },
    "a timestamp that is no number": {**signed("POST", ROUTE, body_of("W")), "X-Timestamp": "now"},
    "bytes that are no text": {**signed("POST", ROUTE, body_of("W")), "X-Signature": "sha256=\xff\xfe"},
}


@pytest.mark.parametrize("headers", WRONG.values(), ids=WRONG)
def test_whatever_is_wrong_the_answer_is_the_same_401(bridge: BridgeProcess, headers: dict[str, str]) -> None:
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    answer = httpx.post(
        bridge.url + ROUTE, content=body_of("W"), headers=encoded, trust_env=False, timeout=30
    )
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"].startswith("HMAC-SHA256")
    assert answer.json() == post(bridge, ROUTE, b"", {}).json()


def test_of_a_client_whose_clock_is_wrong_the_log_says_which_it_is(bridge: BridgeProcess) -> None:
    def refused() -> list[str]:
        return [each["client"] for each in bridge.events() if each["event"] == "request_not_signed"]

    before = len(refused())
    for headers in (WRONG["a clock behind"], WRONG["no scheme"], WRONG["another client"]):
        post(bridge, ROUTE, body_of("W"), headers)
    assert refused()[before:] == [CLIENT, CLIENT], "a stranger costs no line"


def test_what_was_turned_away_is_not_in_kafka(bridge: BridgeProcess, decider: Decider) -> None:
    post(bridge, ROUTE, body_of("FORGED-1"), signed("POST", ROUTE, body_of("FORGED-1"), secret="other"))
    assert not [value for _, value in decider.read("order-placed") if b"FORGED-1" in value]


def test_a_captured_request_replayed_to_another_route_is_401(bridge: BridgeProcess) -> None:
    body = body_of("CAPTURED-1")
    captured = signed("POST", ROUTE, body)
    assert post(bridge, ROUTE, body, captured).status_code == 202
    assert post(bridge, "/cancel-order", body, captured).status_code == 401
    assert post(bridge, f"{ROUTE}?again=1", body, captured).status_code == 401


def test_a_question_is_signed_with_an_empty_body_and_the_path_as_it_is_sent(bridge: BridgeProcess) -> None:
    path = "/orders/A%2FB%20C"
    assert httpx.get(bridge.url + path, trust_env=False).status_code == 401
    unescaped = signed("GET", "/orders/A/B C")
    assert httpx.get(bridge.url + path, headers=unescaped, trust_env=False).status_code == 401
    assert httpx.get(bridge.url + path, headers=signed("GET", path), trust_env=False).status_code == 404


def test_both_secrets_of_a_client_are_valid_during_a_rotation() -> None:
    signatures = Signatures({CLIENT: (SecretStr(SECRET), SecretStr("new")), "other": (SecretStr("third"),)})
    for secret, accepted in ((SECRET, True), ("new", True), ("third", False)):
        signature = sign(secret, 1_000, "GET", "/orders/1", b"")
        assert signatures.accept(CLIENT, "1000", signature, "GET", b"/orders/1", b"", 1_000) is accepted


@pytest.mark.parametrize("off_s", [-WINDOW_S, -1, 0, WINDOW_S])
def test_clocks_may_differ_by_the_window(off_s: int) -> None:
    signatures = Signatures({CLIENT: (SecretStr(SECRET),)})
    signature = sign(SECRET, 10_000, "GET", "/", b"")
    assert signatures.accept(CLIENT, "10000", signature, "GET", b"/", b"", 10_000 + off_s)
    beyond = 10_000 + WINDOW_S + 1
    assert not signatures.accept(CLIENT, "10000", signature, "GET", b"/", b"", beyond)


def test_health_and_the_api_document_need_no_signature(bridge: BridgeProcess) -> None:
    for path in ("/healthz", "/readyz", "/openapi.json"):
        assert httpx.get(bridge.url + path, trust_env=False, timeout=30).status_code == 200
