"""Starting, health and figures."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from tests.bridge.process import BridgeProcess, Caller, placed, start_bridge_and_read

SIGNED = {"BRIDGE_SECRETS": "a:b"}

REFUSED: dict[str, tuple[dict[str, str], list[str], str]] = {
    "unsigned beyond loopback": (SIGNED, ["--unsigned", "--host", "::"], "binds to loopback only"),
    "nobody could sign": ({}, [], "BRIDGE_SECRETS is not set"),
    "secrets that are none": ({"BRIDGE_SECRETS": "abc"}, [], "BRIDGE_SECRETS must be client:secret"),
    "too long a wait": (SIGNED, ["--default-wait", "31"], "at most 30 seconds"),
    "a key that is none": (
        SIGNED | {"BRIDGE_FLUENT_PUBLIC_KEY_FILE": __file__, "FLUENT_ACCOUNT": "ACME"},
        [],
        "no RSA public key",
    ),
    "a key and no account": (
        SIGNED | {"BRIDGE_FLUENT_PUBLIC_KEY_FILE": __file__},
        [],
        "FLUENT_ACCOUNT is not",
    ),
    "one port for both": (SIGNED, ["--operations-port", "8081", "--port", "8081"], "need different ports"),
    "routes of a client without a secret": (
        SIGNED | {"BRIDGE_CLIENTS": "b:start"},
        [],
        "BRIDGE_CLIENTS names b, but BRIDGE_SECRETS has no secret",
    ),
    "a host that is none": (SIGNED, ["--host", "a..b"], "Cannot listen on a..b"),
    "no address": (SIGNED, ["--host", "203.0.113.7"], "Cannot listen on 203.0.113.7"),
    "no topics": (SIGNED | {"TOPIC_PREFIX": "nowhere-"}, [], "nowhere-promotion-start"),
    "no broker": (SIGNED | {"KAFKA_BOOTSTRAP_SERVERS": ""}, [], "KAFKA_BOOTSTRAP_SERVERS is not set"),
}


@pytest.mark.parametrize(("more", "arguments", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_keeps_it_from_starting_is_one_sentence_and_status_2(
    environment: Mapping[str, str], tmp_path: Path, more: dict[str, str], arguments: list[str], sentence: str
) -> None:
    status, text = start_bridge_and_read({**environment, **more}, tmp_path, arguments)
    last = text.strip().splitlines()[-1]
    assert status == 2 and sentence in last and last.endswith(".")
    assert "Traceback" not in text


STOPPED_EARLY = """
import os, signal, sys
import bridge.main
from bridge.server import Server
from streams.settings import load_settings

class Late(Server):
    def run(self, sockets):
        os.kill(os.getpid(), signal.SIGTERM)  # uvicorn does not listen to it yet
        super().run(sockets)

bridge.main.check_broker = bridge.main._check_topics = lambda settings: None
bridge.main.Server = Late
bridge.main.Bridge.start = lambda self: None
options = bridge.main.Options("127.0.0.1", 0, "127.0.0.1", None, True, None)
sys.exit(bridge.main.run(load_settings(os.environ), options))
"""


def test_a_signal_to_stop_that_comes_before_it_serves_is_not_lost(tmp_path: Path) -> None:
    environment = {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-c", STOPPED_EARLY]
    assert subprocess.run(command, env=environment, stderr=subprocess.DEVNULL, timeout=60).returncode == 0


def test_health_readiness_and_the_api_document_answer(caller: Caller) -> None:
    assert caller.get("/healthz").json() == {"status": "ok"}
    assert caller.get("/readyz").json() == {"status": "ready"}


@pytest.fixture(scope="module")
def operated(
    environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BridgeProcess]:
    """A bridge with an operations port."""
    directory = tmp_path_factory.mktemp("operated")
    with BridgeProcess(environment, directory, "--operations-port", "0") as process:
        yield process.wait_ready()


def get(url: str, path: str, **headers: str) -> httpx.Response:
    return httpx.get(url + path, headers=headers, trust_env=False, timeout=30)


def test_metrics_count_requests_and_time_acknowledgements(operated: BridgeProcess) -> None:
    caller = Caller(operated.url)
    caller.post("/consume-reservation", placed("COUNTED-1"))
    caller.close()
    text = get(operated.operations_url, "/metrics").text
    assert 'flashsale_bridge_responses_total{route="/consume-reservation",status="202"}' in text
    assert "flashsale_bridge_acknowledge_seconds_bucket" in text
    assert "flashsale_bridge_ready 1.0" in text
    first = 'flashsale_bridge_responses_total{route="/end-flash-sale",status="500"} 0.0'
    assert first in text, "increase() does not see the first of a series that appears with it"


def test_metrics_are_on_the_operations_port_only_whatever_headers_say(operated: BridgeProcess) -> None:
    host = operated.operations_url.removeprefix("http://")
    for headers in ({}, {"Host": host}, {"X-Forwarded-Port": host.rpartition(":")[2]}):
        assert get(operated.url, "/metrics", **headers).status_code == 404
    assert get(operated.operations_url, "/metrics").headers["content-type"].startswith("text/plain")


def test_the_operations_port_serves_health_and_nothing_that_needs_a_signature(
    operated: BridgeProcess,
) -> None:
    assert operated.operations_url.startswith("http://127.0.0.1:")
    assert get(operated.operations_url, "/healthz").json() == {"status": "ok"}
    assert get(operated.operations_url, "/readyz").json() == {"status": "ready"}
    for path in ("/orders/O", "/openapi.json", "/consume-reservation"):
        answer = get(operated.operations_url, path)
        assert answer.status_code == 404 and answer.json()["recommendation"]
    head = httpx.head(f"{operated.operations_url}/metrics", trust_env=False)
    assert head.status_code == 200 and not head.content and int(head.headers["content-length"]) > 100


def test_a_web_page_of_somebodys_own_name_does_not_read_the_operations_port(operated: BridgeProcess) -> None:
    assert get(operated.operations_url, "/metrics", Host="page.example").status_code == 403
    assert get(operated.operations_url, "/metrics", Origin="https://page.example").status_code == 403


def test_without_an_operations_port_metrics_are_nowhere(bridge: BridgeProcess) -> None:
    assert bridge.operations_url == "" and get(bridge.url, "/metrics").status_code == 404


def test_sign_prints_a_curl_command_that_the_bridge_takes(bridge: BridgeProcess, tmp_path: Path) -> None:
    body = tmp_path / "an order.json"
    body.write_text(
        '{"order": {"ref": "CURL-1", "promotionId": "it\'s", "items": [{"sku": "S", "quantity": 1}]}}'
    )
    secrets = {"BRIDGE_SECRETS": "other:x,shop:old,shop:s3cr3t-of-the-shop"}

    def printed(*arguments: str, given: str = "") -> str:
        command = [
            sys.executable,
            "-m",
            "flashsale.cli",
            "sign",
            "--client",
            "shop",
            "--url",
            bridge.url,
            *arguments,
        ]
        done = subprocess.run(
            command, env={**os.environ, **secrets}, input=given, capture_output=True, text=True, check=True
        )
        assert done.stdout.count("\n") == 1 + given.count("\n")
        return done.stdout

    def run(command: str) -> str:
        quiet = f"{command.strip()} -w ' %{{http_code}}'"
        return subprocess.run(["sh", "-c", quiet], capture_output=True, text=True, check=True).stdout  # noqa: S607

    assert run(printed("POST", "/consume-reservation", str(body))).endswith(" 202")
    assert run(printed("post", "/consume-reservation", "-", given=body.read_text())).endswith(" 202")
    assert run(printed("GET", "/orders/CURL%2F1")).endswith(" 404")


@pytest.mark.parametrize(
    ("secrets", "arguments", "sentence"),
    [
        ("", ["GET", "/orders/1"], "BRIDGE_SECRETS is not set"),
        ("a:b", ["GET", "/orders/1", "--client", "c"], "has no client c"),
        ("a:b", ["GET", "orders/1"], "begins with a slash"),
        ("a:b", ["POST", "/cancel-order", "no-such-file"], "no-such-file cannot be read"),
    ],
)
def test_sign_says_in_one_sentence_what_it_lacks(secrets: str, arguments: list[str], sentence: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flashsale.cli", "sign", *arguments],
        env={**os.environ, "BRIDGE_SECRETS": secrets},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and sentence in done.stderr and not done.stdout
