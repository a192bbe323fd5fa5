"""OAuth: one login for many callers, renewed in time, and never more often than needed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from fluent import FluentOptions, Gateway
from fluent.errors import LoginFailed
from streams.ledger.commands import HoldConfirmed
from streams.settings import ConfigurationError
from tests.fluent.conftest import NewGateway
from tests.fluent.support import Requests
from tests.support.fluent import FluentSimulator


def token_calls(simulator: FluentSimulator) -> int:
    return int(simulator.control()["requests"].get("token", 0))


async def test_many_callers_wait_for_one_login(
    simulator: FluentSimulator, new_gateway: NewGateway, two: Requests
) -> None:
    before = token_calls(simulator)
    gateway = new_gateway()
    await asyncio.gather(*(gateway.client.log_in() for _ in range(50)))
    await gateway.handle(two.hold(10))
    assert token_calls(simulator) == before + 1


async def test_client_credentials_are_used_where_there_is_no_user(
    new_gateway: NewGateway, one: Requests
) -> None:
    gateway = new_gateway(username=None, password=None)
    assert isinstance(await gateway.handle(one.hold(10)), HoldConfirmed)
    assert gateway.meters.logins == {"client_credentials ok": 1}


async def test_a_revoked_token_costs_one_new_login(
    simulator: FluentSimulator, new_gateway: NewGateway, one: Requests
) -> None:
    gateway = new_gateway(max_retries=0)
    await gateway.client.log_in()
    simulator.revoke_tokens()
    assert isinstance(await gateway.handle(one.hold(10)), HoldConfirmed)
    assert gateway.meters.logins == {"password ok": 2}


async def test_a_token_is_renewed_before_it_expires(
    simulator: FluentSimulator, new_gateway: NewGateway, one: Requests
) -> None:
    """It lives 1 s and is used for 0.9 s: nobody ever sees a 401."""
    simulator.control(token_seconds=1)
    gateway = new_gateway()
    await gateway.client.log_in()
    await asyncio.sleep(0.95)
    assert isinstance(await gateway.handle(one.hold(10)), HoldConfirmed)
    assert gateway.meters.logins["password ok"] == 2
    assert all(result == "ok" for _, result in gateway.meters.http_requests)


async def test_a_refresh_token_is_used_once_and_the_password_again_where_it_is_refused(
    simulator: FluentSimulator, new_gateway: NewGateway
) -> None:
    simulator.control(token_seconds=0, refresh_tokens=True)
    gateway = new_gateway()
    for _ in range(2):
        await gateway.client.log_in()
    assert gateway.meters.logins == {"password ok": 1, "refresh_token ok": 1}
    simulator.revoke_tokens()
    await gateway.client.log_in()
    assert gateway.meters.logins["password ok"] == 2


@pytest.mark.parametrize("fault", ["errorBefore", "closeAfter", "garbage", "tooManyRequests"])
async def test_a_token_call_that_fails_on_the_way_is_tried_again(
    simulator: FluentSimulator, new_gateway: NewGateway, fault: str
) -> None:
    simulator.next(fault, match="token")
    gateway = new_gateway()
    await gateway.client.log_in()
    assert gateway.meters.logins["password ok"] == 1
    assert gateway.meters.logins.total() == 2


async def test_bad_credentials_are_not_hammered(
    simulator: FluentSimulator, new_gateway: NewGateway, one: Requests
) -> None:
    before = token_calls(simulator)
    gateway = new_gateway(password="wrong")
    assert await gateway.handle(one.hold(10)) is None
    with pytest.raises(LoginFailed, match="invalid_grant"):
        await gateway.client.log_in()
    assert token_calls(simulator) == before + 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTPS_PROXY", "foo://user:hunter2@proxy"),
        ("HTTPS_PROXY", "http://[::1"),
        ("ALL_PROXY", "socks5://127.0.0.1:1"),
        ("SSL_CERT_FILE", "/nowhere/ca.pem"),
        ("SSL_CERT_FILE", __file__),
    ],
)
def test_a_way_that_the_environment_names_and_nobody_can_go_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """Seen: the worker, and flashsale check, ended with a trace that named no variable."""
    monkeypatch.setenv(name, value)
    far = FluentOptions(base_url="https://fluent.example", account="A", client_id="c", client_secret="s")
    with pytest.raises(ConfigurationError, match=name) as caught:
        Gateway(far)
    assert "hunter2" not in str(caught.value)
    Gateway(replace(far, base_url="http://127.0.0.1:1"))


def test_secrets_are_not_shown(new_gateway: NewGateway) -> None:
    shown = repr(new_gateway(client_secret="s3cret-one", password="s3cret-two").options)
    assert "s3cret" not in shown
