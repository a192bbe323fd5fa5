"""Which client may do what, and how it can be told afterwards who did it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import httpx
import pytest
from confluent_kafka import Consumer, TopicPartition

from tests.bridge.process import BridgeProcess, Caller, placed, signed, started
from tests.support.system import wait_until

SHOP, MERCH, OPS = ("shop", "secret-of-shop"), ("merch", "secret-of-merch"), ("ops", "secret-of-ops")
ROUTES = {
    "/start-flash-sale": started("LIMITED", {"SKU-1": 1}),
    "/consume-reservation": placed("LIMITED"),
    "/cancel-order": {"order": {"ref": "LIMITED", "promotionId": "P"}},
    "/end-flash-sale": {"promotion": {"id": "LIMITED"}},
}


@pytest.fixture(scope="module")
def limited(
    environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BridgeProcess]:
    """A bridge with three clients, of which two are limited."""
    more = {
        "BRIDGE_SECRETS": ",".join(":".join(client) for client in (SHOP, MERCH, OPS)),
        "BRIDGE_CLIENTS": "shop:consume,cancel; merch:start,end",
    }
    with BridgeProcess({**environment, **more}, tmp_path_factory.mktemp("limited")) as process:
        yield process.wait_ready()


def send(
    bridge: BridgeProcess, client: tuple[str, str], path: str, body: object | None = None
) -> httpx.Response:
    name, secret = client
    method = "GET" if body is None else "POST"
    content = b"" if body is None else json.dumps(body).encode()
    headers = signed(method, path, content, client=name, secret=secret)
    return httpx.request(method, bridge.url + path, content=content, headers=headers, trust_env=False)


@pytest.mark.parametrize(
    ("client", "allowed"),
    [
        (SHOP, {"/consume-reservation", "/cancel-order"}),
        (MERCH, {"/start-flash-sale", "/end-flash-sale"}),
        (OPS, set(ROUTES)),
    ],
)
def test_a_client_that_is_limited_to_routes_is_403_on_the_others(
    limited: BridgeProcess, client: tuple[str, str], allowed: set[str]
) -> None:
    for path, body in ROUTES.items():
        answer = send(limited, client, path, body)
        assert answer.status_code == (202 if path in allowed else 403), path
        if path not in allowed:
            assert client[0] in answer.json()["error"] and "BRIDGE_CLIENTS" in answer.json()["recommendation"]
    assert send(limited, client, "/orders/NOBODY").status_code == 404


def test_a_limit_is_told_only_to_the_client_itself(limited: BridgeProcess) -> None:
    forged = ("shop", "another secret")
    assert send(limited, forged, "/start-flash-sale", ROUTES["/start-flash-sale"]).status_code == 401


def client_of(environment: Mapping[str, str], topic: str, text: str) -> str | None:
    """The header `bridge-client` of the newest record whose value contains `text`; None: not there."""
    name = environment["TOPIC_PREFIX"] + topic
    consumer = Consumer({"bootstrap.servers": environment["KAFKA_BOOTSTRAP_SERVERS"], "group.id": "reader"})
    consumer.assign([TopicPartition(name, number, 0) for number in range(2)])
    try:
        while (message := consumer.poll(3)) is not None:
            if text.encode() in (message.value() or b""):
                headers = dict(message.headers() or [])
                client = headers.get("bridge-client") or b""
                return client if isinstance(client, str) else client.decode()
    finally:
        consumer.close()
    return None


def test_a_record_says_which_client_sent_it(limited: BridgeProcess, environment: Mapping[str, str]) -> None:
    assert send(limited, OPS, "/consume-reservation", placed("WHO-1")).status_code == 202
    assert client_of(environment, "order-placed", "WHO-1") == "ops"


def test_the_log_says_which_client_started_or_ended_a_sale(limited: BridgeProcess) -> None:
    assert send(limited, MERCH, "/start-flash-sale", started("LOGGED", {"SKU-1": 1})).status_code == 202
    assert send(limited, OPS, "/end-flash-sale", {"promotion": {"id": "LOGGED"}}).status_code == 202

    def logged() -> list[tuple[str, str]]:
        found = [event for event in limited.events() if event.get("promotion") == "LOGGED"]
        return [(event["topic"], event["client"]) for event in found]

    wait_until(
        lambda: logged() == [("promotion-start", "merch"), ("promotion-end", "ops")], "both are in the log"
    )


@pytest.fixture(scope="module")
def unsigned(
    environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BridgeProcess]:
    """A bridge that wants no signatures."""
    with BridgeProcess(environment, tmp_path_factory.mktemp("unsigned"), "--unsigned") as process:
        yield process.wait_ready()


FOREIGN: dict[str, dict[str, str]] = {
    "a page from elsewhere": {"Origin": "https://page.example"},
    "a page whose origin is hidden": {"Origin": "null"},
    "a page whose name points here": {"Host": "page.example", "Origin": "http://page.example"},
    "a name that only looks like ours": {"Host": "localhost.page.example"},
    "an origin that only looks like ours": {"Origin": "http://127.0.0.1.page.example"},
    "another address": {"Host": "192.0.2.7:8081"},
    "no address at all": {"Host": "["},
}


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
def test_without_signatures_a_web_page_can_neither_send_nor_ask(
    unsigned: BridgeProcess, headers: dict[str, str], environment: Mapping[str, str]
) -> None:
    for answer in (
        httpx.post(
            f"{unsigned.url}/consume-reservation", json=placed("PAGE-1"), headers=headers, trust_env=False
        ),
        httpx.get(f"{unsigned.url}/orders/PAGE-1", headers=headers, trust_env=False),
    ):
        assert answer.status_code == 403
        assert answer.json()["recommendation"]
    assert client_of(environment, "order-placed", "PAGE-1") is None


@pytest.mark.parametrize(
    "headers",
    [{}, {"Host": "localhost"}, {"Host": "[::1]:80"}, {"Origin": "http://localhost:3000"}],
    ids=str,
)
def test_without_signatures_this_machine_may_send(
    unsigned: BridgeProcess, headers: dict[str, str], environment: Mapping[str, str]
) -> None:
    ref = f"HERE-{len(str(headers))}"
    answer = httpx.post(
        f"{unsigned.url}/consume-reservation", json=placed(ref), headers=headers, trust_env=False
    )
    assert answer.status_code == 202
    found = wait_until(lambda: [client_of(environment, "order-placed", ref)], ref)
    assert found == [""]


def test_a_signed_bridge_takes_any_host(bridge: BridgeProcess, caller: Caller) -> None:
    assert caller.post("/consume-reservation", placed("PROXIED"), Host="shop.example").status_code == 202
