"""Fluent's ``POST /oauth/token``: the password and client_credentials grants, and, where switched on, refresh
tokens that work once."""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rehearsal.fluent.switches import Controls


@dataclass(frozen=True, slots=True)
class Credentials:
    """Whom the simulator knows. They protect nothing; the environment can set a worker's own."""

    account: str = "SIM"
    client_id: str = "simulator"
    client_secret: str = "simulator"  # noqa: S105 - a made-up account of a made-up Fluent
    username: str = "simulator"
    password: str = "simulator"  # noqa: S105 - as above

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Credentials:
        """SIMULATOR_ACCOUNT, _CLIENT_ID, _CLIENT_SECRET, _USERNAME, _PASSWORD."""
        names = ("account", "client_id", "client_secret", "username", "password")
        given = {name: environment.get(f"SIMULATOR_{name.upper()}") for name in names}
        return cls(**{name: value for name, value in given.items() if value})


class OAuthRefused(Exception):
    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.body = {"error": error, "error_description": description}


class Tokens:
    def __init__(self, credentials: Credentials, controls: Controls, clock: Callable[[], int]) -> None:
        self._credentials = credentials
        self._controls = controls
        self._clock = clock
        self._expires_ms: dict[str, int] = {}
        self._refresh: set[str] = set()

    def issue(self, account: str | None, form: Mapping[str, str]) -> dict[str, Any]:
        """The token response; raises OAuthRefused.

        Without ``strictCredentials`` any account, client and user are taken, only missing ones are refused: a
        worker can be pointed here with whatever it is configured with.
        """
        self._require(account, self._credentials.account, 400, "invalid_request", "header fluent.account")
        self._require(form.get("client_id"), self._credentials.client_id, 401, "invalid_client", "client_id")
        self._require(
            form.get("client_secret"), self._credentials.client_secret, 401, "invalid_client", "client_secret"
        )
        grant = form.get("grant_type")
        if grant == "password":
            self._require(form.get("username"), self._credentials.username, 400, "invalid_grant", "username")
            self._require(form.get("password"), self._credentials.password, 400, "invalid_grant", "password")
        elif grant == "refresh_token":
            self._spend(form.get("refresh_token"))
        elif grant != "client_credentials":
            raise OAuthRefused(400, "unsupported_grant_type", f"grant_type {grant!r} is not supported")
        return self._new()

    def _require(self, given: str | None, known: str, status: int, error: str, what: str) -> None:
        wrong = self._controls.strict_credentials and not hmac.compare_digest(
            (given or "").encode(), known.encode()
        )
        if not given or wrong:
            raise OAuthRefused(status, error, f"{what} is missing or wrong")

    def _spend(self, refresh_token: str | None) -> None:
        if refresh_token not in self._refresh:
            raise OAuthRefused(400, "invalid_grant", "the refresh token is unknown or was used before")
        self._refresh.remove(refresh_token)

    def _new(self) -> dict[str, Any]:
        now = self._clock()
        self._expires_ms = {token: end for token, end in self._expires_ms.items() if end > now}
        token = secrets.token_hex(16)
        self._expires_ms[token] = now + self._controls.token_seconds * 1000
        response: dict[str, Any] = {
            "access_token": token,
            "token_type": "bearer",
            "expires_in": self._controls.token_seconds,
            "scope": "api",
            "Retailer_id": 1,
        }
        if self._controls.refresh_tokens:
            response["refresh_token"] = secrets.token_hex(16)
            self._refresh.add(response["refresh_token"])
        return response

    def valid(self, authorization: str | None) -> bool:
        """Whether an Authorization header carries a token that has not expired."""
        scheme, _, token = (authorization or "").partition(" ")
        return scheme.lower() == "bearer" and self._expires_ms.get(token.strip(), 0) > self._clock()

    def revoke_all(self) -> None:
        self._expires_ms.clear()
        self._refresh.clear()
