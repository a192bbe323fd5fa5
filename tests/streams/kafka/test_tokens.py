"""Logins by token: one source for all clients, renewed in time, and errors that say what to look at."""

from __future__ import annotations

import base64
import gzip
import socket
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any

import pytest
from faust.auth import OAuthCredentials

from streams.kafka import aiokafka_config, check_broker, client_config, faust_broker
from streams.kafka.tokens import LONGEST_LIFE_S, MOST_BYTES, Token, TokenRefused, Tokens, tokens_of
from streams.settings import Settings, load_settings
from tests.support.token_endpoint import CLIENT, SCOPE, SECRET, TokenEndpoint, token

MSK = {
    "KAFKA_BOOTSTRAP_SERVERS": "b-1.sale.abc123.c2.kafka.eu-central-1.amazonaws.com:9098",
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_MECHANISM": "AWS_MSK_IAM",
}


@pytest.fixture
def endpoint() -> Iterator[TokenEndpoint]:
    with TokenEndpoint() as found:
        yield found


def settings(endpoint: TokenEndpoint, **more: str) -> Settings:
    own = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"}
    return load_settings({**own, **endpoint.environment, **more})


def source(read: Settings) -> Tokens:
    found = tokens_of(read.kafka)
    assert found is not None
    return found


def refused(read: Settings) -> str:
    with pytest.raises(TokenRefused) as caught:
        source(read).current()
    assert SECRET not in str(caught.value)
    return str(caught.value)


async def test_all_clients_share_one_token(endpoint: TokenEndpoint) -> None:
    read = settings(endpoint)
    text, expires_at_s = client_config(read)["oauth_cb"]("")
    aiokafka = aiokafka_config(read)
    _, credentials = faust_broker(read)
    assert isinstance(credentials, OAuthCredentials) and credentials.protocol.value == "SASL_PLAINTEXT"
    assert await aiokafka["sasl_oauth_token_provider"].token() == text
    assert await credentials.oauth_cb.token() == text
    assert client_config(settings(endpoint))["oauth_cb"]("") == (text, expires_at_s)
    assert 250 < expires_at_s - time.time() < 301
    assert endpoint.asked == [{"grant_type": ["client_credentials"], "scope": [SCOPE]}]
    assert client_config(read)["sasl.mechanism"] == aiokafka["sasl_mechanism"] == "OAUTHBEARER"


class Provider:
    """Gives tokens of 100 s by the test's clock, unless it is away."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.given = self.asked = 0
        self.away = False
        self.tokens = Tokens(self.fetch, lambda: self.now_s)

    def fetch(self) -> Token:
        self.asked += 1
        if self.away:
            raise TokenRefused("away")
        self.given += 1
        return Token(str(self.given), self.now_s + 100)

    def after(self, seconds: float) -> str:
        self.now_s += seconds
        return self.tokens.current().text


def test_a_token_is_used_until_a_fifth_of_its_life_is_left() -> None:
    provider = Provider()
    assert [provider.after(seconds) for seconds in (0, 79, 2, 79, 2)] == ["1", "1", "2", "2", "3"]


def test_while_the_provider_is_away_the_token_at_hand_is_used_to_its_end() -> None:
    provider = Provider()
    assert provider.after(0) == "1"
    provider.away = True
    assert provider.after(99) == "1"
    with pytest.raises(TokenRefused):
        provider.after(1)
    provider.away = False
    assert provider.after(5) == "2"


def test_a_provider_that_is_away_is_asked_once_in_five_seconds_however_many_connect() -> None:
    provider = Provider()
    assert provider.after(0) == "1"
    provider.away = True
    assert [provider.after(seconds) for seconds in (81, 1, 3.9)] == ["1", "1", "1"]
    assert provider.asked == 2
    assert (provider.after(0.2), provider.asked) == ("1", 3)
    for seconds in (14, 1):
        with pytest.raises(TokenRefused, match="away"):
            provider.after(seconds)
    assert provider.asked == 4
    provider.away = False
    assert provider.after(5) == "2"


def test_an_end_that_only_the_token_knows_is_found_in_it(endpoint: TokenEndpoint) -> None:
    endpoint.body = f'{{"access_token": "{token(CLIENT, 1_000)}"}}'.encode()
    assert 900 < source(settings(endpoint)).current().expires_at_s - time.time() < 1_001
    endpoint.body = b'{"access_token": "opaque"}'
    opaque = source(settings(endpoint, KAFKA_OAUTH_SCOPE="other")).current()
    assert 200 < opaque.expires_at_s - time.time() < 301


def of_life(expires_in: str) -> bytes:
    return b'{"access_token": "opaque", "expires_in": %s}' % expires_in.encode()


def that_ends(exp: str) -> bytes:
    claims = base64.urlsafe_b64encode(b'{"exp": %s}' % exp.encode()).decode().rstrip("=")
    return b'{"access_token": "e30.%s."}' % claims.encode()


STRANGE = ["Infinity", "NaN", "1e999", "1" + "0" * 400]


@pytest.mark.parametrize("body", [*map(of_life, STRANGE), *map(that_ends, [*STRANGE, '"nan"'])], ids=range(9))
def test_a_life_without_end_does_not_make_a_token_the_last_one(endpoint: TokenEndpoint, body: bytes) -> None:
    """Seen: no token was ever asked for again, or the exception left the source."""
    endpoint.body = body
    tokens = source(settings(endpoint))
    assert 200 < tokens.current().expires_at_s - time.time() <= LONGEST_LIFE_S
    tokens._clock = lambda: time.time() + LONGEST_LIFE_S
    tokens.current()
    assert len(endpoint.asked) == 2


def serve_once(listening: socket.socket, pieces: Iterable[bytes], pause_s: float) -> None:
    with listening.accept()[0] as client, suppress(OSError):
        client.recv(65_536)
        for piece in pieces:
            client.sendall(piece)
            time.sleep(pause_s)


@contextmanager
def strange_provider(*pieces: bytes, pause_s: float = 0.0) -> Iterator[dict[str, str]]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = threading.Thread(target=serve_once, args=(listening, pieces, pause_s))
        serving.start()
        yield {"KAFKA_OAUTH_TOKEN_URL": f"http://127.0.0.1:{listening.getsockname()[1]}/token"}
        serving.join()


def test_a_provider_that_drips_does_not_keep_whoever_connects_waiting(
    endpoint: TokenEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen: a byte in time for each time-out, and every client of the process waited for hours."""
    monkeypatch.setattr("streams.kafka.tokens.TIMEOUT_S", 0.3)
    drip = [b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", *[b" "] * 100]
    with strange_provider(*drip, pause_s=0.05) as environment:
        began = time.monotonic()
        assert "takes more than" in refused(settings(endpoint, **environment))
        assert time.monotonic() - began < 2


def test_a_small_answer_that_unpacks_to_a_large_one_is_not_unpacked(endpoint: TokenEndpoint) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(bomb)
    with strange_provider(head, bomb) as environment:
        read = settings(endpoint, **environment)
        tracemalloc.start()
        try:
            assert "access_token" in refused(read)
            assert tracemalloc.get_traced_memory()[1] < 10_000_000
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "HTTP_PROXY"])
def test_a_way_that_the_environment_names_and_nobody_can_go_is_one_sentence(
    endpoint: TokenEndpoint, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Seen: a trace, which named neither the variable nor the address."""
    monkeypatch.setenv(name, "foo://nowhere")
    assert "KAFKA_OAUTH_TOKEN_URL" in refused(settings(endpoint))


ANSWERS: dict[str, tuple[int, bytes, str]] = {
    "nested too deep": (200, b"[" * 200_000, "answers without an access_token"),
    "a reason that is nested too deep": (400, b"[" * 200_000, r"gives no token \(400 without a reason\)"),
    "a reason": (
        400,
        b'{"error": "invalid_scope"}',
        r"gives no token \(400 invalid_scope\); check KAFKA_OAUTH",
    ),
    "no reason": (503, b"<html>", r"gives no token \(503 without a reason\)"),
    "another page": (200, b"<html>", "answers without an access_token; is it the right URL"),
    "a list": (200, b"[]", "answers without an access_token"),
    "no text": (200, b'{"access_token": 7}', "answers without an access_token"),
    "an endless answer": (200, b" " * (MOST_BYTES + 1), "which is no token"),
}


@pytest.mark.parametrize(("status", "body", "sentence"), ANSWERS.values(), ids=ANSWERS)
def test_what_is_no_token_is_one_sentence(
    endpoint: TokenEndpoint, status: int, body: bytes, sentence: str
) -> None:
    endpoint.status, endpoint.body = status, body
    with pytest.raises(TokenRefused, match=sentence):
        source(settings(endpoint)).current()


def test_a_wrong_secret_and_an_endpoint_that_is_away_are_one_sentence_before_kafka_is_asked(
    endpoint: TokenEndpoint,
) -> None:
    wrong = settings(endpoint, KAFKA_OAUTH_CLIENT_SECRET="another")
    assert "(401 invalid_client); check KAFKA_OAUTH_CLIENT_ID" in refused(wrong)
    with pytest.raises(TokenRefused, match="invalid_client"):
        check_broker(wrong)
    away = settings(endpoint, KAFKA_OAUTH_TOKEN_URL="http://127.0.0.1:1/token")
    assert "KAFKA_OAUTH_TOKEN_URL http://127.0.0.1:1/token does not answer" in refused(away)


def test_a_secret_or_a_token_that_travels_unencrypted_is_worth_a_notice(endpoint: TokenEndpoint) -> None:
    open_to_all = {
        "KAFKA_BOOTSTRAP_SERVERS": "kafka.example:9092",
        "KAFKA_OAUTH_TOKEN_URL": "http://login.example/token",
    }
    found = " ".join(settings(endpoint, **open_to_all).notices)
    assert "SASL_PLAINTEXT: the token travels unencrypted" in found
    assert "KAFKA_OAUTH_TOKEN_URL is http://login.example/token: the client's secret travels" in found


# -- Amazon MSK


@pytest.fixture
def signer(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """AWS's signer, which is no part of the locks; says for which regions it was asked."""
    regions: list[str] = []

    def generate_auth_token(region: str) -> tuple[str, int]:
        regions.append(region)
        return f"signed for {region}", int((time.time() + 900) * 1_000)

    module: Any = SimpleNamespace(
        MSKAuthTokenProvider=SimpleNamespace(generate_auth_token=generate_auth_token)
    )
    monkeypatch.setitem(sys.modules, "aws_msk_iam_sasl_signer", module)
    monkeypatch.delenv("AWS_REGION", raising=False)
    tokens_of.cache_clear()
    return regions


def test_msk_takes_a_token_that_awss_signer_made_for_its_region(
    signer: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = load_settings(MSK)
    text, expires_at_s = client_config(read)["oauth_cb"]("")
    assert text == "signed for eu-central-1" and 800 < expires_at_s - time.time() < 901
    assert client_config(read)["sasl.mechanism"] == "OAUTHBEARER"
    monkeypatch.setenv("AWS_REGION", "us-east-2")
    other = load_settings(MSK | {"KAFKA_BOOTSTRAP_SERVERS": "my-own-name.example:9098"})
    assert source(other).current().text == "signed for us-east-2"
    assert signer == ["eu-central-1", "us-east-2"]


def test_msk_without_a_region_or_without_the_signer_is_one_sentence(
    signer: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = load_settings(MSK | {"KAFKA_BOOTSTRAP_SERVERS": "my-own-name.example:9098"})
    assert "AWS_REGION is not set" in refused(nowhere)
    monkeypatch.setitem(sys.modules, "aws_msk_iam_sasl_signer", None)
    assert "pip install 'flash-sale-reservations[msk]'" in refused(load_settings(MSK))
