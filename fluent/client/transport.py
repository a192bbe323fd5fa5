"""One HTTP call to Fluent's GraphQL end point, whatever the network does: bytes in, JSON or an error out.

Only Fluent's own JSON can refuse anything. A page of a proxy or a firewall, whatever its status, says nothing
about the call: it is treated as HTTP 502 is.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import uuid
import zlib
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

from fluent.errors import (
    ConnectFailed,
    ConnectionLost,
    ForeignAnswer,
    ForeignTooLarge,
    LoginFailed,
    NotPermitted,
    RateLimited,
    ServerFailed,
    TimedOut,
    UnreadableAnswer,
    code_of,
)
from fluent.options import FluentOptions
from streams.settings import ConfigurationError

KEEP_ALIVE_S = 30.0
OF_THE_WAY = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""Variables of the environment that say how Fluent is reached."""
HALF = re.compile(rb"\\u[dD][89a-fA-F]")
"""Half of an emoji, which is two such escapes in JSON. Where a text was cut between them there is one, which
UTF-8 cannot say: what repeats that text could not be sent to Kafka."""

Answer = dict[str, Any]


def http_client(
    options: FluentOptions, transport: httpx.AsyncBaseTransport | None = None
) -> httpx.AsyncClient:
    """A client with a keep-alive pool. TLS is always verified; HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE and
    SSL_CERT_DIR of the environment count, but not for a Fluent on this machine.

    No answer, of whatever status, is larger than `max_response_bytes`, and no cookie is kept: those of a load
    balancer that gives a new one each time would fill every later request until it is refused for its size.

    Raises ConfigurationError where the environment names a proxy or certificates that cannot be used.
    """
    try:
        return _client(options, transport)
    except (httpx.InvalidURL, ImportError, OSError, ValueError) as error:
        given = [name for name in OF_THE_WAY if os.environ.get(name) or os.environ.get(name.lower())]
        raise ConfigurationError(
            f"Fluent cannot be reached as {', '.join(given)} of the environment says: {error}. Correct that."
        ) from None


def _client(options: FluentOptions, transport: httpx.AsyncBaseTransport | None) -> httpx.AsyncClient:
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
        headers={"user-agent": "flash-sale-reservations", "accept-encoding": "gzip"},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        event_hooks={"response": [partial(_bound, options.max_response_bytes)]},
    )


async def _bound(limit: int, response: httpx.Response) -> None:
    """Puts a bound on an answer's body before anybody reads it: httpx itself reads that of a 401."""
    packed = response.headers.pop("content-encoding", "").strip().lower() == "gzip"
    if isinstance(response.stream, httpx.AsyncByteStream):
        response.stream = _Bounded(response.stream, limit, packed)


class _Bounded(httpx.AsyncByteStream):
    """A body that is unpacked here, so that a few kilobytes cannot become gigabytes of memory."""

    def __init__(self, body: httpx.AsyncByteStream, limit: int, packed: bool) -> None:
        self._body = body
        self._limit = limit
        self._packed = packed

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left, unpacking = self._limit, zlib.decompressobj(zlib.MAX_WBITS | 16) if self._packed else None
        async for piece in self._body:
            if unpacking is not None:
                try:
                    piece = unpacking.decompress(piece, left + 1)
                except zlib.error as error:
                    raise httpx.DecodingError(str(error)) from error
            left -= len(piece)
            if left < 0:
                raise UnreadableAnswer(f"the answer is larger than {self._limit} bytes")
            yield piece

    async def aclose(self) -> None:
        await self._body.aclose()


class Transport:
    """Sends a body to `/graphql`. Every call ends within `call_timeout_s`, slow drips included."""

    def __init__(self, http: httpx.AsyncClient, auth: httpx.Auth, options: FluentOptions) -> None:
        self._http = http
        self._auth = auth
        self._options = options

    async def post(self, body: bytes, trace: str = "") -> Answer:
        """The GraphQL answer, errors in it included; `trace` is a W3C trace context, or empty.

        Raises an Unanswered or a Refused.
        """
        request_id = str(uuid.uuid4())
        about = {"x-request-id": request_id} | ({"traceparent": trace} if trace else {})
        try:
            async with asyncio.timeout(self._options.call_timeout_s):
                status, headers, content = await self._exchange(body, about)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise ConnectFailed(f"no connection to {self._options.base_url}: {error}") from error
        except (TimeoutError, httpx.TimeoutException) as error:
            raise TimedOut(
                f"no answer within {self._options.call_timeout_s} s (request {request_id})"
            ) from error
        except httpx.HTTPError as error:
            raise ConnectionLost(f"{type(error).__name__}: {error} (request {request_id})") from error
        return _read(status, headers, content)

    async def _exchange(self, body: bytes, about: dict[str, str]) -> tuple[int, httpx.Headers, bytes]:
        request = self._http.build_request(
            "POST",
            "/graphql",
            content=body,
            headers={"content-type": "application/json", **about},
        )
        response = await self._http.send(request, auth=self._auth)
        return response.status_code, response.headers, response.content


def _read(status: int, headers: httpx.Headers, content: bytes) -> Answer:
    if status == httpx.codes.TOO_MANY_REQUESTS:
        raise RateLimited("Fluent answers HTTP 429", wait_s=_retry_after_s(headers))
    if status >= 500:
        raise ServerFailed(f"Fluent answers HTTP {status}", wait_s=_retry_after_s(headers))
    answer = fluents_json(headers, content)
    if answer is None or not _says_something(answer):
        raise _foreign(status, headers, content)
    coded = any(code_of(error) for error in answer.get("errors") or () if isinstance(error, dict))
    if status == httpx.codes.UNAUTHORIZED:
        raise LoginFailed("Fluent does not take the token that it has just given")
    if status == httpx.codes.FORBIDDEN and not coded:
        raise NotPermitted(f"Fluent answers HTTP 403: {_excerpt(content)}")
    if "data" in answer or answer.get("errors"):
        return answer
    raise _foreign(status, headers, content)


def _says_something(answer: Answer) -> bool:
    """A GraphQL answer has `data` or `errors`, a refusal of Fluent's authorisation has `error`."""
    return "data" in answer or bool(answer.get("errors")) or isinstance(answer.get("error"), str)


def _foreign(status: int, headers: httpx.Headers, content: bytes) -> ForeignAnswer:
    kind = ForeignTooLarge if status == httpx.codes.REQUEST_ENTITY_TOO_LARGE else ForeignAnswer
    media_type = headers.get("content-type", "no content type")
    return kind(
        f"HTTP {status} with {media_type} is no answer of Fluent's GraphQL: {_excerpt(content)}",
        wait_s=_retry_after_s(headers),
    )


def _excerpt(content: bytes) -> str:
    return content[:200].decode(errors="replace")


def may_be_fluents(headers: httpx.Headers) -> bool:
    """Fluent answers JSON; where there is no content type, the content decides."""
    return "json" in headers.get("content-type", "json").lower()


def fluents_json(headers: httpx.Headers, content: bytes) -> Answer | None:
    """The JSON object of an answer that may be Fluent's; None where the answer is something else."""
    if not may_be_fluents(headers):
        return None
    try:
        answer = json.loads(content.decode("utf-8-sig"))
        if HALF.search(content):
            answer = _whole(answer)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _whole(value: Any) -> Any:
    """The same with a replacement character for each half of a pair of surrogates."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_whole(inner) for inner in value]
    if isinstance(value, dict):
        return {_whole(name): _whole(inner) for name, inner in value.items()}
    return value


def _retry_after_s(headers: httpx.Headers) -> float:
    """Retry-After in seconds, from a number or a date; 0 where there is none that can be read."""
    given = headers.get("retry-after", "").strip()
    if given.isdecimal():
        return float(given)
    try:
        moment = parsedate_to_datetime(given)
        now = parsedate_to_datetime(headers["date"])
        return max(0.0, (moment - now).total_seconds())
    except (ValueError, TypeError, KeyError, OverflowError):
        return 0.0
