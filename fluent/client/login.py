"""OAuth 2 as Fluent does it, and the `httpx.Auth` that uses it.

`POST /oauth/token`, form-encoded, header `fluent.account`; the password grant where there is a user, else
client_credentials. A refresh token, where Fluent gives one, works once; when it is refused, or its answer is
lost, the first grant is used again.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote_plus

import httpx

from fluent.client.limits import full_jitter_s
from fluent.client.transport import Answer, fluents_json, may_be_fluents
from fluent.errors import LoginFailed, LoginRefused, UnreadableAnswer
from fluent.meters import Meters
from fluent.options import FluentOptions
from streams.log import REDACTED, get_logger

log = get_logger("fluent")

DEFAULT_LIFETIME_S = 3600.0
MARGIN_S = 60.0
MARGIN_SHARE = 0.1
"""A token is renewed a minute, or a tenth of its life if that is less, before it expires."""
MAX_SILENCE_S = 60.0
SECRETS = ("client_secret", "password", "refresh_token")
"""Fields of the form; some end points repeat in an error what they were sent."""


@dataclass(frozen=True, slots=True)
class _Token:
    access: str
    renew_at: float


_NO_AUTH = httpx.Auth()


class _Rejected(Exception):
    """The token end point understood, and refused."""


class TokenSource:
    """The current access token. However many callers wait, one request renews it."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        options: FluentOptions,
        meters: Meters,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._options = options
        self._meters = meters
        self._clock = clock
        self._lock = asyncio.Lock()
        self._token: _Token | None = None
        self._refresh_token: str | None = None
        self._refusals = 0
        self._silent_until = 0.0
        self._last_refusal = ""
        self._closed = asyncio.Event()

    def close(self) -> None:
        """Begins no further try: a client that is closed waits for the request under way only."""
        self._closed.set()

    async def current(self) -> str:
        """A token that is valid for a while yet. Raises LoginFailed."""
        token = self._token
        if token is not None and self._clock() < token.renew_at:
            return token.access
        return await self._renewed(token)

    async def replace(self, rejected: str) -> str:
        """A token other than the one that Fluent has just rejected. Raises LoginFailed."""
        token = self._token
        if token is not None and token.access != rejected:
            return await self.current()
        return await self._renewed(token)

    async def _renewed(self, seen: _Token | None) -> str:
        async with self._lock:
            if self._token is not seen and self._token is not None:
                return self._token.access
            if self._clock() < self._silent_until:
                raise LoginRefused(self._last_refusal)
            try:
                self._token = await self._log_in()
            except _Rejected as refusal:
                raise self._refused(str(refusal)) from None
            self._refusals = 0
            return self._token.access

    def _refused(self, why: str) -> LoginRefused:
        """Bad credentials stay bad: ask ever more rarely, so that the account is not locked."""
        self._refusals += 1
        self._silent_until = self._clock() + min(MAX_SILENCE_S, 2.0 ** min(self._refusals - 1, 30))
        self._last_refusal = f"Fluent refuses the login: {why}"
        log.error("fluent_login_refused", error=why, recommendation="Check FLUENT_ACCOUNT and the login.")
        return LoginRefused(self._last_refusal)

    async def _log_in(self) -> _Token:
        spent, self._refresh_token = self._refresh_token, None
        if spent is not None:
            try:
                return await self._ask({"grant_type": "refresh_token", "refresh_token": spent}, tries=1)
            except (_Rejected, LoginFailed):
                log.info("fluent_refresh_failed", then="log in anew")
        return await self._ask(self._first_grant(), tries=self._options.max_retries + 1)

    def _first_grant(self) -> dict[str, str]:
        options = self._options
        if options.username is None or options.password is None:
            return {"grant_type": "client_credentials", "scope": "api"}
        return {
            "grant_type": "password",
            "username": options.username,
            "password": options.password,
            "scope": "api",
        }

    async def _ask(self, form: dict[str, str], tries: int) -> _Token:
        """Raises _Rejected, or LoginFailed when no try got an answer."""
        failure = ""
        for attempt in range(tries):
            if attempt:
                await self._pause(attempt - 1)
            if self._closed.is_set():
                raise LoginFailed("the client was closed before it could log in")
            try:
                token = await self._ask_once(form)
            except (httpx.HTTPError, TimeoutError, ValueError, UnreadableAnswer) as error:
                failure = f"{type(error).__name__} {error}".strip()
                self._meters.logins[f"{form['grant_type']} {type(error).__name__}"] += 1
                continue
            self._meters.logins[f"{form['grant_type']} ok"] += 1
            return token
        raise LoginFailed(f"Fluent's token end point gives no answer: {failure}")

    async def _pause(self, attempt: int) -> None:
        base_s, cap_s = self._options.backoff_base_s, self._options.backoff_cap_s
        with suppress(TimeoutError):
            async with asyncio.timeout(full_jitter_s(attempt, base_s=base_s, cap_s=cap_s)):
                await self._closed.wait()

    async def _ask_once(self, form: dict[str, str]) -> _Token:
        """Raises _Rejected for a 4xx in Fluent's own words (RFC 6749, 5.2: JSON with `error`), ValueError for
        an answer of no use, which may be better next time."""
        options = self._options
        asked_at = self._clock()
        client = {"client_id": options.client_id, "client_secret": options.client_secret}
        async with asyncio.timeout(options.call_timeout_s):
            response = await self._http.post(
                "/oauth/token", data=form | client, headers={"fluent.account": options.account}, auth=_NO_AUTH
            )
        answer = fluents_json(response.headers, response.content) or {}
        refusing = 400 <= response.status_code < 500 and response.status_code not in (408, 429)
        if refusing and isinstance(answer.get("error"), str):
            self._meters.logins[f"{form['grant_type']} refused"] += 1
            raise _Rejected(_why(response.status_code, answer, form | client))
        if response.status_code != httpx.codes.OK:
            raise ValueError(f"HTTP {response.status_code}")
        access = answer.get("access_token")
        if not isinstance(access, str) or not (access and access.isascii() and access.isprintable()):
            raise ValueError("an answer without an access_token that a header can carry")
        refresh = answer.get("refresh_token")
        self._refresh_token = refresh if isinstance(refresh, str) else None
        return _Token(access, asked_at + _useful_s(answer.get("expires_in")))


def _useful_s(expires_in: object) -> float:
    """How long to use a token that lives `expires_in` seconds."""
    known = isinstance(expires_in, int | float | str) and not isinstance(expires_in, bool)
    try:
        lifetime_s = float(expires_in) if known else DEFAULT_LIFETIME_S  # type: ignore[arg-type]
    except (ValueError, OverflowError):
        lifetime_s = DEFAULT_LIFETIME_S
    if not 0 <= lifetime_s < math.inf:
        lifetime_s = DEFAULT_LIFETIME_S
    return lifetime_s - min(MARGIN_S, lifetime_s * MARGIN_SHARE)


def _why(status: int, answer: Answer, form: dict[str, str]) -> str:
    """The end point's own words, without any secret that we sent."""
    told = ": ".join(str(answer[key]) for key in ("error", "error_description") if answer.get(key))
    for secret in filter(None, map(form.get, SECRETS)):
        told = told.replace(secret, REDACTED).replace(quote_plus(secret), REDACTED)
    return f"HTTP {status} {told}"


class FluentAuth(httpx.Auth):
    """Bearer token on each request; on a 401 one new login and one repeat."""

    def __init__(self, tokens: TokenSource) -> None:
        self._tokens = tokens

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        token = await self._tokens.current()
        request.headers["Authorization"] = f"bearer {token}"
        response = yield request
        # A page of something in between says nothing about the token.
        if response.status_code == httpx.codes.UNAUTHORIZED and may_be_fluents(response.headers):
            token = await self._tokens.replace(token)
            request.headers["Authorization"] = f"bearer {token}"
            yield request
