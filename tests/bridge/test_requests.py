"""What of the bytes on a connection is a request, and how it is read: over bare sockets."""

from __future__ import annotations

import json
import re
import socket
import time
from contextlib import closing, suppress

import pytest

from tests.bridge.decisions import Decider
from tests.bridge.process import BridgeProcess, placed
from tests.bridge.sockets import connect, head, read_answer


def read_to_the_end(connection: socket.socket) -> bytes:
    """Everything that the bridge says until it closes the connection."""
    answers = b""
    with suppress(ConnectionResetError):
        while chunk := connection.recv(65_536):
            answers += chunk
    return answers


def order(ref: str) -> bytes:
    return json.dumps(placed(ref)).encode()


OFFERS = {
    "h2c, as Java's client offers it": (
        "Connection: Upgrade, HTTP2-Settings",
        "Upgrade: h2c",
        "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
    ),
    "a websocket": ("Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
    "anything": ("Connection: keep-alive, Upgrade", "Upgrade: TLS/1.0, IRC/6.9"),
}


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
@pytest.mark.parametrize("pause_s", [0.0, 0.2], ids=["at once", "body in a segment of its own"])
def test_an_upgrade_that_is_offered_is_ignored_and_the_request_is_read_as_it_is(
    bridge: BridgeProcess, offer: tuple[str, ...], pause_s: float
) -> None:
    body = order("UPGRADED")
    with closing(connect(bridge.address)) as connection:
        connection.sendall(head(body, *offer, f"Content-Length: {len(body)}"))
        time.sleep(pause_s)
        connection.sendall(body)
        first, answer = read_answer(connection)
        assert first.startswith(b"HTTP/1.1 202 ") and b"UPGRADED" in answer
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_answer(connection)[0].startswith(b"HTTP/1.1 200 ")


def test_a_body_behind_an_offered_upgrade_is_never_a_request_of_its_own(
    bridge: BridgeProcess, decider: Decider
) -> None:
    hidden = order("SMUGGLED-1")
    body = head(hidden, f"Content-Length: {len(hidden)}") + hidden
    with closing(connect(bridge.address)) as connection:
        connection.sendall(
            b"POST /cancel-order HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body)
        )
        time.sleep(0.2)
        connection.sendall(body + b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answers = read_to_the_end(connection)
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"401", b"200"]
    assert not [value for _, value in decider.read("order-placed") if b"SMUGGLED-1" in value]


AMBIGUOUS = {
    "two framings": "Transfer-Encoding: chunked\r\nContent-Length: 5",
    "two lengths": "Content-Length: 5\r\nContent-Length: 6",
    "a length that is none": "Content-Length: +5",
    "a coding that nobody knows": "Transfer-Encoding: xchunked",
    "two codings": "Transfer-Encoding: chunked, chunked",
    "a space before the colon": "Content-Length : 5",
}


@pytest.mark.parametrize("line", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_a_request_whose_end_could_be_read_in_two_ways_is_refused_and_the_connection_closed(
    bridge: BridgeProcess, line: str
) -> None:
    with closing(connect(bridge.address)) as connection:
        connection.sendall(head(b"", line) + b"0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        answers = read_to_the_end(connection)
    assert answers.count(b"HTTP/1.1 ") == 1
    assert answers.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 "))


def test_every_get_route_answers_head_without_a_body(bridge: BridgeProcess) -> None:
    routes = {"/healthz": 200, "/readyz": 200, "/openapi.json": 200, "/orders/NOBODY": 404, "/nowhere": 404}
    with closing(connect(bridge.address)) as connection:
        for path, status in routes.items():
            connection.sendall(head(b"", path=path, method="HEAD"))
            answer = connection.recv(65_536)
            assert answer.startswith(b"HTTP/1.1 %d " % status), path
            assert answer.endswith(b"\r\n\r\n") and b"content-length: 0" not in answer.lower(), path


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip", "GZIP", "nonsense"])
def test_a_body_in_another_coding_is_a_415_that_names_it(bridge: BridgeProcess, coding: str) -> None:
    with closing(connect(bridge.address)) as connection:
        connection.sendall(head(b"xxx", "Content-Length: 3", f"Content-Encoding: {coding}") + b"xxx")
        first, body = read_answer(connection)
    assert first.startswith(b"HTTP/1.1 415 ") and b"accept-encoding: identity" in first.lower()
    assert coding.split()[-1] in json.loads(body)["error"] and json.loads(body)["recommendation"]


def test_a_body_in_the_identity_coding_is_read(bridge: BridgeProcess) -> None:
    body = order("IDENTITY")
    with closing(connect(bridge.address)) as connection:
        connection.sendall(head(body, f"Content-Length: {len(body)}", "Content-Encoding: identity") + body)
        assert read_answer(connection)[0].startswith(b"HTTP/1.1 202 ")


def test_a_client_that_asks_before_it_sends_a_body_is_told_to_go_on(bridge: BridgeProcess) -> None:
    body = order("EXPECTED")
    with closing(connect(bridge.address)) as connection:
        connection.sendall(head(body, f"Content-Length: {len(body)}", "Expect: 100-continue"))
        assert connection.recv(1_000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        assert read_answer(connection)[0].startswith(b"HTTP/1.1 202 ")
    with closing(connect(bridge.address)) as connection:
        connection.sendall(
            b"POST /cancel-order HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
        )
        assert read_answer(connection)[0].startswith(b"HTTP/1.1 401 ")


def test_line_ends_between_two_requests_are_ignored(bridge: BridgeProcess) -> None:
    with closing(connect(bridge.address)) as connection:
        for _ in range(3):
            connection.sendall(b"\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n\r\n")
            assert read_answer(connection)[0].startswith(b"HTTP/1.1 200 ")
