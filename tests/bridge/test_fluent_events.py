"""Fluent's own webhooks: signed with its key, mapped by `inputMapping`, once for each event id."""

from __future__ import annotations

import base64
import gc
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from starlette.requests import Request

from bridge.fluent import FluentEvents, load_key
from bridge.gate import Gate
from bridge.records import Source
from bridge.service import Bridge
from schemas.promotions import PromotionEnd
from streams.settings import load_settings
from tests.bridge.decisions import Decider
from tests.bridge.process import BridgeProcess, Caller, placed

DOCUMENT = (Path(__file__).parents[2] / "docs" / "bridge.md").read_text(encoding="utf-8")


def documented_mapping() -> Any:
    """The example of docs/bridge.md, which is what is tested here."""
    found = re.search(r"```json configuration\n(\{\n  \"inputMapping\".*?)```", DOCUMENT, re.DOTALL)
    assert found is not None
    return json.loads(found[1])["inputMapping"]


ACCOUNT = "ACME"
KEY = generate_private_key(65_537, 2_048)
DER = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def booked(event_id: str | None, ref: str) -> dict[str, Any]:
    """Fluent's event of an order, with nested arrays."""
    baskets = [
        {"lines": [{"article": "SKU-1", "units": 2}]},
        {"lines": [{"article": "SKU-2", "units": 1}, {"article": "SKU-1", "units": 1}]},
    ]
    attributes = {"campaign": "FLASH", "baskets": baskets}
    event = {"name": "ORDER_BOOKED", "accountId": ACCOUNT, "entityRef": ref, "attributes": attributes}
    return event if event_id is None else event | {"id": event_id}


def stopped_event(event_id: str, promotion: str, **more: Any) -> dict[str, Any]:
    """Fluent's event that ends a sale."""
    return {
        "id": event_id,
        "accountId": ACCOUNT,
        "name": "CAMPAIGN_STOPPED",
        "entityRef": promotion,
        **more,
    }


@pytest.fixture(scope="module")
def fluent_bridge(
    environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BridgeProcess]:
    """A bridge that knows Fluent's key and a mapping."""
    directory = tmp_path_factory.mktemp("fluent")
    key, config = directory / "fluent.pub", directory / "config.json"
    key.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    config.write_text(json.dumps({"retailerId": "7", "inputMapping": documented_mapping()}))
    more = {
        "BRIDGE_FLUENT_PUBLIC_KEY_FILE": str(key),
        "FLUENT_ACCOUNT": ACCOUNT,
        "RESERVATION_CONFIG": str(config),
    }
    with BridgeProcess({**environment, **more}, directory) as process:
        yield process.wait_ready()


def send(
    bridge: BridgeProcess, event: object, key: RSAPrivateKey = KEY, signature: str | None = None
) -> httpx.Response:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    given = signature or base64.b64encode(key.sign(body, PKCS1v15(), SHA512())).decode()
    return httpx.post(
        f"{bridge.url}/fluent-events",
        content=body,
        headers={"fluent-signature": given},
        trust_env=False,
        timeout=30,
    )


def sent(decider: Decider, topic: str, text: str) -> list[bytes]:
    return [value for _, value in decider.read(topic) if text.encode() in value]


def test_fluents_event_goes_to_the_topic_whose_mapping_it_fits(
    fluent_bridge: BridgeProcess, decider: Decider
) -> None:
    answer = send(fluent_bridge, booked("E-1", "FLUENT-1"))
    assert answer.status_code == 202
    content = answer.json()
    assert (content["orderRef"], content["promotionId"]) == ("FLUENT-1", "FLASH")
    assert sent(decider, "order-placed", "FLUENT-1") == [json.dumps(booked("E-1", "FLUENT-1")).encode()]
    stopped = send(fluent_bridge, stopped_event("E-2", "FLUENT-FLASH"))
    assert stopped.json()["promotionId"] == "FLUENT-FLASH"
    assert len(sent(decider, "promotion-end", "FLUENT-FLASH")) == 1


def test_an_event_that_is_sent_again_is_answered_again_and_sent_once(
    fluent_bridge: BridgeProcess, decider: Decider
) -> None:
    answers = [send(fluent_bridge, booked("E-3", "FLUENT-3")) for _ in range(3)]
    assert {answer.content for answer in answers} == {answers[0].content}
    assert len(sent(decider, "order-placed", "FLUENT-3")) == 1
    for _ in range(2):
        send(fluent_bridge, booked(None, "FLUENT-NO-ID"))
    assert len(sent(decider, "order-placed", "FLUENT-NO-ID")) == 2


FOREIGN: dict[str, dict[str, Any]] = {
    "another account": {"accountId": "OTHER"},
    "no account": {"accountId": None},
    "an account in another form": {"accountId": ["ACME"]},
    "another retailer": {"retailerId": 8},
    "another retailer as a text": {"retailerId": "70"},
}


@pytest.mark.parametrize("fields", FOREIGN.values(), ids=FOREIGN)
def test_another_accounts_event_is_403_and_ends_no_sale_of_ours(
    fluent_bridge: BridgeProcess, decider: Decider, fields: dict[str, Any]
) -> None:
    answer = send(fluent_bridge, stopped_event("E-8", "FLUENT-FOREIGN", **fields))
    assert answer.status_code == 403
    assert answer.json()["error"] and answer.json()["recommendation"]
    assert not sent(decider, "promotion-end", "FLUENT-FOREIGN")


@pytest.mark.parametrize(
    "fields", [{}, {"accountId": "acme"}, {"retailerId": 7}, {"retailerId": "7"}], ids=str
)
def test_our_own_accounts_event_is_taken(fluent_bridge: BridgeProcess, fields: dict[str, Any]) -> None:
    assert send(fluent_bridge, stopped_event(f"E-9 {fields}", "OWN", **fields)).status_code == 202


def test_the_same_id_with_other_content_is_an_event_of_its_own(
    fluent_bridge: BridgeProcess, decider: Decider
) -> None:
    for ref in ("FLUENT-10-A", "FLUENT-10-B"):
        answer = send(fluent_bridge, booked("E-10", ref))
        assert answer.status_code == 202 and answer.json()["orderRef"] == ref
        assert len(sent(decider, "order-placed", ref)) == 1


class Broken:
    """A bridge whose producer fails so often, with what nobody foresaw."""

    def __init__(self, directory: Path, failures: int) -> None:
        config = directory / "config.json"
        config.write_text(json.dumps({"inputMapping": documented_mapping()}))
        self.settings = load_settings({"RESERVATION_CONFIG": str(config), "FLUENT_ACCOUNT": ACCOUNT})
        self.gate = Gate()
        self.sent: list[str] = []
        self._failures = [RuntimeError("nobody thought of this")] * failures

    async def send(self, topic: str, key: str, value: bytes, client: str) -> Source:
        """Fail, or note the key."""
        if self._failures:
            raise self._failures.pop()
        self.sent.append(f"{client} {topic} {key}")
        return Source(topic, 0, 0)


def stopped_request(event_id: str, promotion: str) -> Request:
    body = json.dumps(stopped_event(event_id, promotion)).encode()

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request({"type": "http", "method": "POST", "headers": [], "client": ("x", 1)}, receive)


async def test_an_event_whose_sending_failed_in_any_way_can_be_sent_again(tmp_path: Path) -> None:
    broken = Broken(tmp_path, failures=1)
    events = FluentEvents(cast(Bridge, broken), None, unsigned=True)
    with pytest.raises(RuntimeError):
        await events.take(stopped_request("E-11", "FLUENT-11"))
    for _ in range(2):
        assert (await events.take(stopped_request("E-11", "FLUENT-11"))).status_code == 202
    assert broken.sent == ["fluent promotion-end FLUENT-11"]


async def test_an_event_that_was_sent_is_recognised_but_not_kept(tmp_path: Path) -> None:
    events = FluentEvents(cast(Bridge, Broken(tmp_path, failures=0)), None, unsigned=True)
    for number in range(5):
        assert (await events.take(stopped_request(f"E-{number}", "FLUENT-12"))).status_code == 202
    gc.collect()
    assert not [each for each in gc.get_objects() if type(each) is PromotionEnd]


def test_a_signature_of_somebody_else_is_401(fluent_bridge: BridgeProcess, decider: Decider) -> None:
    event = booked("E-4", "FLUENT-4")
    other = base64.b64encode(KEY.sign(b"another body", PKCS1v15(), SHA512())).decode()
    refused = [
        send(fluent_bridge, event, generate_private_key(65_537, 2_048)),
        send(fluent_bridge, event, signature=other),
        send(fluent_bridge, event, signature="no base64"),
        httpx.post(f"{fluent_bridge.url}/fluent-events", json=event, trust_env=False),
    ]
    assert [answer.status_code for answer in refused] == [401] * 4
    assert not sent(decider, "order-placed", "FLUENT-4")


def test_an_event_that_no_mapping_fits_is_a_422_that_says_why(fluent_bridge: BridgeProcess) -> None:
    answer = send(
        fluent_bridge, {"id": "E-5", "accountId": ACCOUNT, "name": "SOMETHING_ELSE", "entityRef": "X"}
    )
    assert answer.status_code == 422
    assert "order-placed: order.ref" in answer.json()["error"] and "promotion-end:" in answer.json()["error"]
    assert send(fluent_bridge, b"no json").status_code == 422


def test_the_other_routes_read_a_body_as_intake_will_read_it(
    fluent_bridge: BridgeProcess, environment: Mapping[str, str]
) -> None:
    caller = Caller(fluent_bridge.url)
    assert caller.post("/consume-reservation", placed("OWN-1", "FLASH")).status_code == 202
    foreign = caller.post("/consume-reservation", booked("E-6", "FOREIGN-1"))
    assert foreign.json()["orderRef"] == "FOREIGN-1"
    assert caller.post("/end-flash-sale", {"promotion": {"id": "OWN"}}).json()["promotionId"] == "OWN"
    assert caller.post("/end-flash-sale", {"name": "OTHER", "entityRef": "X"}).status_code == 422
    caller.close()


def test_without_a_key_nobody_can_send_fluents_events(bridge: BridgeProcess) -> None:
    assert send(bridge, booked("E-7", "FLUENT-7")).status_code == 401


def test_the_key_may_be_given_as_fluent_shows_it(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(base64.encodebytes(DER))
    assert load_key(file).public_numbers() == KEY.public_key().public_numbers()
