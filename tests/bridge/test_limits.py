"""Clients that send too much, too slowly, or stop half-way: over bare sockets."""

from __future__ import annotations

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import pytest

from bridge.gate import BODY_S, MAX_BODY_BYTES
from bridge.server import MAX_HEAD_BYTES, REQUEST_S
from tests.bridge.decisions import Decider
from tests.bridge.process import BridgeProcess, Caller, placed
from tests.bridge.sockets import PATH, PATIENCE_S, connect, head


def read_all(connection: socket.socket) -> bytes:
    """What the bridge says until it closes, or until a whole answer is there."""
    answer = b""
    while True:
        try:
            chunk = connection.recv(65_536)
        except ConnectionResetError:
            return answer
        answer += chunk
        if not chunk or answer.endswith(b"}"):
            return answer


def exchange(bridge: BridgeProcess, request: bytes) -> bytes:
    with closing(connect(bridge.address)) as connection:
        connection.sendall(request)
        return read_all(connection)


def test_a_body_that_says_it_is_too_large_is_413_without_being_read(bridge: BridgeProcess) -> None:
    answer = exchange(bridge, head(b"", f"Content-Length: {10**12}"))
    assert answer.startswith(b"HTTP/1.1 413 ") and b"1,000,000 bytes" in answer


def test_a_body_that_turns_out_too_large_is_413(bridge: BridgeProcess) -> None:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    request = head(b"", "Transfer-Encoding: chunked") + chunk * (MAX_BODY_BYTES // 0x10000 + 2)
    assert exchange(bridge, request).startswith(b"HTTP/1.1 413 ")


def test_a_body_at_the_limit_is_read(caller: Caller) -> None:
    assert caller.post(PATH, b" " * MAX_BODY_BYTES).status_code == 400
    assert caller.post(PATH, b" " * (MAX_BODY_BYTES + 1)).status_code == 413
    assert caller.post(PATH, placed("AFTER-LARGE")).status_code == 202


def test_a_header_that_is_too_large_is_refused(bridge: BridgeProcess) -> None:
    whole = f"X-Large: {'x' * MAX_HEAD_BYTES}"
    assert exchange(bridge, head(b"", whole)).startswith(b"HTTP/1.1 431 ")
    endless = head()[:-2] + b"X-Endless: " + b"x" * (4 * MAX_HEAD_BYTES)
    assert exchange(bridge, endless).startswith(b"HTTP/1.1 431 ")


def test_a_truncated_body_is_never_an_event(bridge: BridgeProcess, caller: Caller, decider: Decider) -> None:
    whole = json.dumps(placed("TRUNCATED-1")).encode()
    with closing(connect(bridge.address)) as connection:
        request = head(whole, f"Content-Length: {len(whole) + 10}")
        connection.sendall(request + whole)
        connection.shutdown(socket.SHUT_WR)
        assert not read_all(connection).startswith(b"HTTP/1.1 2")
    assert caller.post(PATH, placed("TRUNCATED-2")).status_code == 202
    values = [value for _, value in decider.read("order-placed")]
    assert any(b"TRUNCATED-2" in value for value in values)
    assert not any(b"TRUNCATED-1" in value for value in values)


@dataclass(frozen=True)
class SlowClient:
    """Sends `lines` of a request's head, ended or not, then `drip` twice a second."""

    lines: tuple[str, ...]
    ended: bool
    drip: bytes
    limit_s: float


SLOW = {
    "drips a header": SlowClient((), False, b"x", REQUEST_S),
    "drips a body": SlowClient(("Content-Length: 500",), True, b" ", BODY_S),
    "sends no body": SlowClient(("Content-Length: 500",), True, b"", BODY_S),
}


def linger(bridge: BridgeProcess, client: SlowClient) -> tuple[float, bytes]:
    """Be that slow client; returns how long the bridge took it, and what it said."""
    first = head(b"", *client.lines)
    begun = time.monotonic()
    with closing(connect(bridge.address)) as connection:
        connection.settimeout(0.5)
        connection.sendall(first if client.ended else first[:-2])
        while time.monotonic() - begun < PATIENCE_S:
            try:
                answer = connection.recv(65_536)
                return time.monotonic() - begun, answer
            except TimeoutError:
                connection.sendall(client.drip)
    raise AssertionError("a slow client is still connected")


@pytest.mark.slow
def test_slow_clients_are_turned_away_and_others_are_served_meanwhile(
    bridge: BridgeProcess, caller: Caller
) -> None:
    with ThreadPoolExecutor(len(SLOW)) as threads:
        slow = {name: threads.submit(linger, bridge, client) for name, client in SLOW.items()}
        while not all(client.done() for client in slow.values()):
            assert caller.get("/healthz").is_success
            time.sleep(0.2)
    for name, lingering in slow.items():
        took_s, answer = lingering.result()
        assert SLOW[name].limit_s - 1 < took_s < SLOW[name].limit_s + 8, name
        assert answer.startswith(b"HTTP/1.1 408 "), name
