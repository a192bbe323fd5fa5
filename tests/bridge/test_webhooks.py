"""Standard Webhooks: a second way to sign, over real connections."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping

import httpx
import pytest
from pydantic import SecretStr

from bridge.signing import WINDOW_S, sign
from bridge.webhooks import Claims, Webhooks, sign_webhook
from streams.settings import ConfigurationError, load_settings
from tests.bridge.decisions import Decider
from tests.bridge.process import BridgeProcess, placed, signed

ROUTE = "/consume-reservation"
SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
NEXT_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CANCELS = "whsec_plJ3nmyCDGBKInavdOK15jsl"


@pytest.fixture(scope="module")
def webhooked(
    environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BridgeProcess]:
    """A bridge whose clients sign in both ways; each sender of webhooks has one route."""
    secrets = f"shop:{SECRET},shop:{NEXT_SECRET},cancels:{CANCELS},own:not-a-webhook-secret"
    more = {"BRIDGE_SECRETS": secrets, "BRIDGE_CLIENTS": "cancels:cancel"}
    with BridgeProcess({**environment, **more}, tmp_path_factory.mktemp("webhooked")) as process:
        yield process.wait_ready()


def webhook(event_id: str, body: bytes, secret: str = SECRET, at_s: float | None = None) -> dict[str, str]:
    """The headers of a webhook."""
    timestamp = int(time.time() if at_s is None else at_s)
    signature = sign_webhook(secret, event_id, timestamp, body)
    return {"webhook-id": event_id, "webhook-timestamp": str(timestamp), "webhook-signature": signature}


def post(bridge: BridgeProcess, body: bytes, headers: Mapping[str, str], path: str = ROUTE) -> httpx.Response:
    return httpx.post(bridge.url + path, content=body, headers=headers, trust_env=False, timeout=30)


def body_of(ref: str) -> bytes:
    return json.dumps(placed(ref)).encode()


def in_kafka(decider: Decider, ref: str) -> int:
    return len([value for _, value in decider.read("order-placed") if f'"{ref}"'.encode() in value])


def test_the_signature_is_that_of_the_reference_library() -> None:
    """The example of the specification's own tests."""
    signature = sign_webhook(
        NEXT_SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}'
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", [SECRET, NEXT_SECRET], ids=["the old secret", "the new one"])
def test_a_webhook_is_accepted_and_says_in_kafka_whose_it_is(
    webhooked: BridgeProcess, decider: Decider, secret: str
) -> None:
    ref = f"HOOK-{secret[-4:]}"
    body = body_of(ref)
    answer = post(webhooked, body, webhook(f"id-{ref}", body, secret))
    assert answer.status_code == 202 and answer.json()["orderRef"] == ref
    assert in_kafka(decider, ref) == 1


def test_one_of_several_signatures_is_enough(webhooked: BridgeProcess) -> None:
    body = body_of("HOOK-SEVERAL")
    headers = webhook("several", body)
    other = webhook("several", body, CANCELS)["webhook-signature"]
    headers["webhook-signature"] = f"v1a,of-another-scheme {other} {headers['webhook-signature']}"
    assert post(webhooked, body, headers).status_code == 202


def test_a_webhook_that_comes_again_is_answered_again_and_sent_once(
    webhooked: BridgeProcess, decider: Decider
) -> None:
    body = body_of("HOOK-AGAIN")
    answers = [post(webhooked, body, webhook("again", body, at_s=time.time() - 10 * n)) for n in range(3)]
    assert {(answer.status_code, answer.content) for answer in answers} == {(202, answers[0].content)}
    assert in_kafka(decider, "HOOK-AGAIN") == 1
    waits = post(webhooked, body, webhook("again", body) | {"Prefer": "wait=1"})
    assert waits.status_code == 202
    assert in_kafka(decider, "HOOK-AGAIN") == 2, "a caller that waits gets the decision about its own record"


def test_an_id_that_comes_again_with_something_else_is_a_conflict(
    webhooked: BridgeProcess, decider: Decider
) -> None:
    body, other = body_of("HOOK-FIRST"), body_of("HOOK-SECOND")
    assert post(webhooked, body, webhook("conflict", body)).status_code == 202
    for given, path in ((other, ROUTE), (body, "/cancel-order")):
        for more in ({}, {"Prefer": "wait=1"}):
            answer = post(webhooked, given, webhook("conflict", given) | more, path)
            assert answer.status_code == 409 and answer.json()["recommendation"]
    assert in_kafka(decider, "HOOK-SECOND") == 0
    assert not [value for _, value in decider.read("order-cancelled") if b'"HOOK-FIRST"' in value]
    assert post(webhooked, other, webhook("conflict-2", other)).status_code == 202


def test_an_id_belongs_to_its_client(webhooked: BridgeProcess) -> None:
    body = body_of("HOOK-IDS")
    assert post(webhooked, body, webhook("mine", body)).status_code == 202
    answer = post(webhooked, body, webhook("mine", body, CANCELS), "/cancel-order")
    assert answer.status_code == 202


BODY = body_of("HOOK-WRONG")
WRONG: dict[str, dict[str, str]] = {
    "another secret": webhook("w", BODY, "whsec_" + "A" * 32),
    "another body": webhook("w", body_of("HOOK-OTHER")),
    "another id": webhook("w", BODY) | {"webhook-id": "v"},
    "no id": webhook("", BODY),
    "an endless id": webhook("w" * 300, BODY),
    "another time": webhook("w", BODY) | {"webhook-timestamp": str(int(time.time()) + 1_000)},
    "a clock behind": webhook("w", BODY, at_s=time.time() - WINDOW_S - 60),
    "no version": webhook("w", BODY) | {"webhook-signature": webhook("w", BODY)["webhook-signature"][3:]},
    "no signature": webhook("w", BODY) | {"webhook-signature": ""},
    "a secret of our own way": webhook("w", BODY) | {"webhook-signature": "v1," + "not-a-webhook-secret"},
    "and our own signature, which is wrong": webhook("w", BODY) | signed("POST", ROUTE, BODY, secret="no"),
}


@pytest.mark.parametrize("headers", WRONG.values(), ids=WRONG)
def test_whatever_is_wrong_the_answer_is_the_same_401(
    webhooked: BridgeProcess, decider: Decider, headers: dict[str, str]
) -> None:
    answer = post(webhooked, BODY, headers)
    assert answer.status_code == 401 and answer.json() == post(webhooked, b"", {}).json()
    assert in_kafka(decider, "HOOK-WRONG") == 0


def test_a_client_is_held_to_its_routes(webhooked: BridgeProcess) -> None:
    body = body_of("HOOK-ROUTE")
    assert post(webhooked, body, webhook("route", body, CANCELS)).status_code == 403


def test_questions_need_our_own_signature(webhooked: BridgeProcess) -> None:
    path = "/orders/HOOK-AGAIN"
    asked = httpx.get(webhooked.url + path, headers=webhook("question", b""), trust_env=False, timeout=30)
    assert asked.status_code == 401
    text = sign(SECRET, int(time.time()), "GET", path, b"")
    own = {"X-Client-Id": "shop", "X-Timestamp": str(int(time.time())), "X-Signature": text}
    answer = httpx.get(webhooked.url + path, headers=own, trust_env=False, timeout=30)
    assert answer.status_code in (200, 404)


def test_every_key_is_tried_whichever_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    webhooks = Webhooks({"a": (SecretStr(SECRET), SecretStr(NEXT_SECRET)), "b": (SecretStr(CANCELS),)})
    compared: list[bytes] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(one)
        return one == other

    monkeypatch.setattr("bridge.webhooks.hmac.compare_digest", compare)
    for secret, client in ((SECRET, "a"), (NEXT_SECRET, "a"), (CANCELS, "b"), ("whsec_" + "A" * 32, "")):
        compared.clear()
        claims = Claims("1", "1000", (sign_webhook(secret, "1", 1_000, b"{}"),))
        assert webhooks.signer(claims, b"{}") == client
        assert len(compared) == 3


@pytest.mark.parametrize("secret", ["whsec_no*base64", "whsec_"])
def test_a_secret_without_a_key_is_one_sentence_at_the_start(secret: str) -> None:
    """With an empty key anybody could sign."""
    with pytest.raises(ConfigurationError, match=r"a whsec_ secret for shop that is no base64 of a key\.$"):
        load_settings({"BRIDGE_SECRETS": f"shop:{secret}"})


def test_a_secret_is_as_long_as_its_key_is() -> None:
    """Of 22 characters, ten bytes are the key."""
    [notice] = load_settings(
        {"BRIDGE_SECRETS": "shop:whsec_MTIzNDU2Nzg5MA==", "BRIDGE_CLIENTS": "shop:end"}
    ).notices
    assert "a whsec_ secret of fewer than 24 bytes for shop" in notice


def test_a_client_whose_webhooks_fit_several_routes_is_worth_a_notice() -> None:
    def notices(clients: str) -> list[str]:
        given = {"BRIDGE_SECRETS": f"shop:{SECRET},own:a-secret-of-our-own-way", "BRIDGE_CLIENTS": clients}
        return [text for text in load_settings(given).notices if "route" in text]

    assert notices("shop:consume") == []
    for clients in ("", "shop:consume,cancel"):
        [notice] = notices(clients)
        assert "whsec_ secret for shop" in notice and SECRET not in notice
