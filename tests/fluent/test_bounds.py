"""Whatever comes from Fluent's address: its size and its words are kept in bounds, and our secrets here."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from fluent import FluentOptions, Gateway
from fluent.errors import FluentError, UnreadableAnswer
from fluent.giving_up import FAILURES
from streams.ledger.commands import HoldFailed, SkuCommand, encode
from streams.ledger.fluent_requests import FluentRequest
from tests.fluent.conftest import NewGateway
from tests.fluent.support import Network, Requests

TOKEN = b'{"access_token":"t","expires_in":3600}'
FAR_TOO_MUCH = 300 * 1_000_000
LIMIT = 200_000
ROOM = 20_000_000
"""What the sockets' buffers take beside the limit."""
A_RECORD = 100_000


@dataclass
class Stranger:
    """An HTTP server at Fluent's address. `answers` gives status, headers and a body in pieces by path."""

    answers: Callable[[str], tuple[bytes, list[bytes]]]
    sent: int = 0
    cookies: list[str] = field(default_factory=list)
    connections: list[asyncio.StreamWriter] = field(default_factory=list)

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[Gateway]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        known = FluentOptions(base_url=address, account="A", client_id="c", client_secret="s", max_retries=0)
        async with Gateway(replace(known, max_response_bytes=LIMIT)) as gateway:
            yield gateway
        server.close()
        for connection in self.connections:
            connection.transport.abort()
            with suppress(ConnectionError):
                await connection.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                headers = dict(line.split(": ", 1) for line in head.lower().splitlines()[1:] if line)
                await reader.readexactly(int(headers.get("content-length", 0)))
                self.cookies.append(headers.get("cookie", ""))
                start, pieces = self.answers(head.split(" ")[1])
                length = sum(map(len, pieces))
                writer.write(b"HTTP/1.1 " + start + b"\r\ncontent-length: %d\r\n\r\n" % length)
                for piece in pieces:
                    self.sent += len(piece)
                    writer.write(piece)
                    await writer.drain()


OK = b"200 OK\r\ncontent-type: application/json"
NO = b"401 Unauthorized\r\ncontent-type: application/json"


@pytest.mark.parametrize("of", ["/oauth/token", "/graphql"])
async def test_an_answer_without_end_is_not_read_to_its_end(one: Requests, of: str) -> None:
    """Seen: of a login, and of a 401 before the login anew, everything was read into memory."""
    endless = [b" " * 1_000_000] * (FAR_TOO_MUCH // 1_000_000)
    stranger = Stranger(lambda path: (NO, endless) if path == of else (OK, [TOKEN]))
    async with stranger.gateway() as gateway:
        assert await gateway.handle(one.hold(10)) is None
    assert 0 < stranger.sent < ROOM


@pytest.mark.parametrize("of", ["/oauth/token", "/graphql"])
async def test_a_small_answer_that_unpacks_to_a_large_one_is_not_unpacked(one: Requests, of: str) -> None:
    """Seen: a body of 64 KB became 64 MB, at each of the calls under way."""
    bomb = gzip.compress(b" " * 50_000_000)
    packed = OK + b"\r\ncontent-encoding: gzip"
    stranger = Stranger(lambda path: (packed, [bomb]) if path == of else (OK, [TOKEN]))
    async with stranger.gateway() as gateway:
        tracemalloc.start()
        try:
            assert await gateway.handle(one.hold(10)) is None
            assert tracemalloc.get_traced_memory()[1] < 5_000_000
        finally:
            tracemalloc.stop()


async def test_packed_answers_are_read_and_broken_ones_are_none(one: Requests) -> None:
    operation = b'{"data":{"c0_catalogue":{"ref":"R","status":"ACTIVE"}}}'
    bodies = [gzip.compress(operation), b"no gzip at all"]
    packed = OK + b"\r\ncontent-encoding: gzip"
    stranger = Stranger(lambda path: (packed, [bodies.pop(0)]) if path == "/graphql" else (OK, [TOKEN]))
    async with stranger.gateway() as gateway:
        catalogue = gateway.profile.operations["catalogue"].operation
        assert (await gateway.client.call(catalogue, {"ref": "R"}))["catalogue"]["ref"] == "R"
        with pytest.raises(FluentError):
            await gateway.client.call(catalogue, {"ref": "R"})


async def test_a_cookie_of_each_answer_does_not_make_the_next_request_larger(one: Requests) -> None:
    """Seen: after a hundred answers of such a load balancer each request carried a hundred cookies."""
    asked = iter(range(100))
    data = b'{"data":{"c0_catalogue":{"ref":"R"}}}'

    def answers(path: str) -> tuple[bytes, list[bytes]]:
        return OK + b"\r\nset-cookie: c%d=1; Path=/" % next(asked), [TOKEN if path != "/graphql" else data]

    stranger = Stranger(answers)
    async with stranger.gateway() as gateway:
        for _ in range(5):
            await gateway.client.call(gateway.profile.operations["catalogue"].operation, {"ref": "R"})
    assert stranger.cookies == [""] * 6


def shown(one: Requests, **part: Any) -> dict[str, Any]:
    known = {"ref": f"{one.ref}-1", "type": "SOFT_RESERVE", "status": "ACTIVE", "quantity": -1}
    place = {"position": {"ref": "P", "productRef": one.sku}}
    return {"data": {"c0_parts": {"edges": [{"node": known | place | part}]}}}


def without_end(one: Requests) -> dict[str, Any]:
    """Pages whose cursor stays the same, and is a book."""
    edges = [{"node": {"ref": "P"}, "cursor": "x" * 400_000}]
    return {"data": {"c0_positions": {"edges": edges, "pageInfo": {"hasNextPage": True}}}}


async def told(gateway: Gateway, request: FluentRequest) -> SkuCommand | None:
    """The answer, where the ledger asks again as often as it takes."""
    answers = [await gateway.handle(request) for _ in range(FAILURES)]
    return next((answer for answer in answers if answer is not None), None)


@pytest.mark.parametrize("attribute", ["promotion_id", "expires_at"])
async def test_what_somebody_wrote_into_our_hold_does_not_make_an_answer_too_large_for_kafka(
    new_gateway: NewGateway, one: Requests, attribute: str
) -> None:
    """Seen: a promotion id of megabytes under our ref; the refusal of the hold could never be sent."""
    attributes = [
        {"name": "promotion_id", "value": one.promotion},
        {"name": attribute, "value": "x" * 3_000_000},
    ]
    odd = httpx.Response(200, json=shown(one, attributes=attributes))
    gateway = new_gateway(transport=answering("FindParts", odd))
    answer = await told(gateway, one.hold(10))
    assert isinstance(answer, HoldFailed) and len(encode(answer)) < A_RECORD


async def test_a_cursor_of_any_length_does_not_make_an_answer_too_large_for_kafka(
    new_gateway: NewGateway, one: Requests
) -> None:
    odd = httpx.Response(200, json=without_end(one))
    gateway = new_gateway(transport=answering("Positions", odd), max_retries=0)
    answer = await told(gateway, one.hold(10))
    assert isinstance(answer, HoldFailed) and len(encode(answer)) < A_RECORD


async def test_an_answer_that_is_nested_too_deep_is_no_failure_of_ours(
    new_gateway: NewGateway, one: Requests
) -> None:
    """Seen: the exception left the gateway, and there was neither an answer nor an end of the attempts."""
    deep = b'{"data":{"c0_parts":' + b'{"a":' * 600 + b"1" + b"}" * 602
    odd = httpx.Response(200, content=deep, headers={"content-type": "application/json"})
    gateway = new_gateway(transport=answering("FindParts", odd), max_retries=0)
    with pytest.raises(UnreadableAnswer):
        await gateway.stock(one.promotion, one.sku, one.ref).parts()
    assert await told(gateway, one.hold(10)) is None


def answering(operation: str, answer: httpx.Response) -> Network:
    return Network(instead=lambda request: answer if operation in request.content.decode() else None)


@pytest.mark.parametrize("secret", ["hunter2hunter2", "Geheim & +100%"])
async def test_an_end_point_that_repeats_what_it_was_sent_brings_no_secret_into_a_log(
    new_gateway: NewGateway, one: Requests, secret: str
) -> None:
    """Seen: `error_description` held the whole form, and went into the log and to `flashsale check`."""

    def repeat(request: httpx.Request) -> httpx.Response | None:
        if request.url.path == "/graphql":
            return None
        form = request.content.decode()
        return httpx.Response(400, json={"error": "invalid_client", "error_description": f"{form} {secret}"})

    gateway = new_gateway(transport=Network(instead=repeat), client_secret=secret, password=secret)
    with capture_logs() as lines:
        assert await gateway.handle(one.hold(10)) is None
    assert "invalid_client" in str(lines)
    for form in (secret, str(httpx.QueryParams({"s": secret}))[2:]):
        assert form not in str(lines)


async def test_a_page_that_repeats_our_token_does_not_bring_it_into_a_log(
    new_gateway: NewGateway, one: Requests
) -> None:
    def repeat(request: httpx.Request) -> httpx.Response | None:
        if request.url.path != "/graphql":
            return None
        return httpx.Response(400, text=f"Bad request. authorization: {request.headers['authorization']}")

    gateway = new_gateway(transport=Network(instead=repeat), max_retries=0)
    with capture_logs() as lines:
        assert await gateway.handle(one.hold(10)) is None
    token = await gateway.client._tokens.current()
    assert "no answer of Fluent" in str(lines) and token not in str(lines)
