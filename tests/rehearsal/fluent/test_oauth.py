"""Logging in, and what happens without."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.rehearsal.fluent.caller import PASSWORD_GRANT, Caller, eventually
from tests.support.fluent import FluentSimulator

CLIENT_GRANT = {"grant_type": "client_credentials", "client_id": "simulator", "client_secret": "simulator"}
ME = "{ me { ref username primaryRetailer { ref } } }"


@pytest.fixture
def stranger(simulator: FluentSimulator) -> Iterator[Caller]:
    with Caller(simulator.base_url) as caller:
        yield caller


@pytest.mark.parametrize("grant", [PASSWORD_GRANT, CLIENT_GRANT])
def test_both_grants_give_a_bearer_token_that_opens_the_api(stranger: Caller, grant: dict[str, str]) -> None:
    answer = stranger.token(grant)
    assert answer.status_code == 200
    token = answer.json()
    assert (token["token_type"], token["expires_in"], token["scope"]) == ("bearer", 86_386, "api")
    assert "refresh_token" not in token
    stranger.use(token["access_token"])
    assert stranger.data(ME)["me"]["primaryRetailer"] == {"ref": "1"}


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"password": "wrong"}, 400, "invalid_grant"),
        ({"username": ""}, 400, "invalid_grant"),
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": ""}, 401, "invalid_client"),
        ({"grant_type": "magic"}, 400, "unsupported_grant_type"),
    ],
)
def test_wrong_credentials_are_told_apart(
    stranger: Caller, change: dict[str, str], status: int, error: str
) -> None:
    answer = stranger.token({**PASSWORD_GRANT, **change})
    assert (answer.status_code, answer.json()["error"]) == (status, error)


@pytest.mark.parametrize("account", [None, "OTHER"])
def test_the_account_header_is_needed(stranger: Caller, account: str | None) -> None:
    answer = stranger.token(account=account)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_without_strict_credentials_any_account_and_user_log_in(
    stranger: Caller, simulator: FluentSimulator
) -> None:
    simulator.control(strict_credentials=False)
    anybody = {**PASSWORD_GRANT, "username": "jo", "password": "x", "client_id": "c", "client_secret": "s"}
    assert stranger.token(anybody, account="ACME").status_code == 200
    assert stranger.token({**anybody, "password": ""}, account="ACME").status_code == 400


@pytest.mark.parametrize("token", ["", "made-up"])
def test_without_a_valid_token_the_api_answers_401(stranger: Caller, token: str) -> None:
    if token:
        stranger.use(token)
    assert stranger.post(ME).status_code == 401


def test_a_token_expires_when_its_time_is_over(stranger: Caller, simulator: FluentSimulator) -> None:
    simulator.control(token_seconds=1)
    stranger.login()
    assert stranger.post(ME).status_code == 200
    eventually(lambda: stranger.post(ME).status_code == 401, timeout_s=5)


def test_a_revoked_token_is_refused_and_a_new_login_helps(
    stranger: Caller, simulator: FluentSimulator
) -> None:
    stranger.login()
    simulator.revoke_tokens()
    assert stranger.post(ME).status_code == 401
    stranger.login()
    assert stranger.post(ME).status_code == 200


def test_a_refresh_token_works_once(stranger: Caller, simulator: FluentSimulator) -> None:
    simulator.control(refresh_tokens=True)
    first = stranger.token().json()
    refresh = {**CLIENT_GRANT, "grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    second = stranger.token(refresh)
    assert second.status_code == 200
    assert second.json()["refresh_token"] != first["refresh_token"]
    reused = stranger.token(refresh)
    assert (reused.status_code, reused.json()["error"]) == (400, "invalid_grant")
