"""One HTTP call to Fluent's GraphQL end point, whatever the network does: bytes in, JSON or an error out."""

from __future__ import annotations

import asyncio
import json
import uuid
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from fluent.client.login import FluentAuth
from fluent.errors import (
    ConnectFailed,
    ConnectionLost,
    LoginFailed,
    NotPermitted,
    RateLimited,
    Refused,
    ServerFailed,
    TimedOut,
    UnreadableAnswer,
)
from fluent.options import FluentOptions

KEEP_ALIVE_S = 30.0

Answer = dict[str, Any]


def http_client(
    options: FluentOptions, transport: httpx.AsyncBaseTransport | None = None
) -> httpx.AsyncClient:
    """A client with a keep-alive pool. TLS is always verified; HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE and
    SSL_CERT_DIR of the environment count, but not for a Fluent on this machine."""
    limits = httpx.Limits(
        max_connections=options.max_in_flight + 2,
        max_keepalive_connections=options.max_in_flight + 2,
        keepalive_expiry=KEEP_ALIVE_S,
    )
    return httpx.AsyncClient(
        base_url=options.base_url,
        timeout=httpx.Timeout(options.call_timeout_s, connect=options.connect_timeout_s),
        limits=limits,
        trust_env=not options.is_loopback,
        follow_redirects=False,
        transport=transport,
        headers={"user-agent": "flash-sale-reservations"},
    )


class Transport:
    """Sends a body to `/graphql`. Every call ends within `call_timeout_s`, slow drips included."""

    def __init__(self, http: httpx.AsyncClient, auth: FluentAuth, options: FluentOptions) -> None:
        self._http = http
        self._auth = auth
        self._options = options

    async def post(self, body: bytes) -> Answer:
        """The GraphQL answer, errors in it included. Raises an Unanswered or a Refused."""
        request_id = str(uuid.uuid4())
        try:
            async with asyncio.timeout(self._options.call_timeout_s):
                status, headers, content = await self._exchange(body, request_id)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise ConnectFailed(f"no connection to {self._options.base_url}: {error}") from error
        except (TimeoutError, httpx.TimeoutException) as error:
            raise TimedOut(
                f"no answer within {self._options.call_timeout_s} s (request {request_id})"
            ) from error
        except httpx.HTTPError as error:
            raise ConnectionLost(f"{type(error).__name__}: {error} (request {request_id})") from error
        return _read(status, headers, content)

    async def _exchange(self, body: bytes, request_id: str) -> tuple[int, httpx.Headers, bytes]:
        request = self._http.build_request(
            "POST",
            "/graphql",
            content=body,
            headers={"content-type": "application/json", "x-request-id": request_id},
        )
        response = await self._http.send(request, auth=self._auth, stream=True)
        try:
            return response.status_code, response.headers, await self._content(response)
        finally:
            await response.aclose()

    async def _content(self, response: httpx.Response) -> bytes:
        limit, size, pieces = self._options.max_response_bytes, 0, []
        async for piece in response.aiter_bytes():
            size += len(piece)
            if size > limit:
                raise UnreadableAnswer(f"the answer is larger than {limit} bytes")
            pieces.append(piece)
        return b"".join(pieces)


def _read(status: int, headers: httpx.Headers, content: bytes) -> Answer:
    if status == httpx.codes.TOO_MANY_REQUESTS:
        raise RateLimited("Fluent answers HTTP 429", wait_s=_retry_after_s(headers))
    if status >= 500:
        raise ServerFailed(f"Fluent answers HTTP {status}", wait_s=_retry_after_s(headers))
    if status == httpx.codes.UNAUTHORIZED:
        raise LoginFailed("Fluent does not take the token that it has just given")
    answer = _json(content)
    if answer is not None and ("data" in answer or answer.get("errors")):
        return answer
    if status == httpx.codes.FORBIDDEN:
        raise NotPermitted("Fluent answers HTTP 403")
    if status >= 300:
        raise Refused(f"Fluent answers HTTP {status}: {content[:200].decode(errors='replace')}")
    raise UnreadableAnswer("the answer is no GraphQL answer")


def _json(content: bytes) -> Answer | None:
    try:
        answer = json.loads(content)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _retry_after_s(headers: httpx.Headers) -> float:
    """Retry-After in seconds, from a number or a date; 0 where there is none that can be read."""
    given = headers.get("retry-after", "").strip()
    if given.isdecimal():
        return float(given)
    try:
        moment = parsedate_to_datetime(given)
        now = parsedate_to_datetime(headers["date"])
    except (ValueError, KeyError):
        return 0.0
    return max(0.0, (moment - now).total_seconds())
