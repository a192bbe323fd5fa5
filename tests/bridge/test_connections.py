"""How long a connection is kept in each state, and how much of it is read: our server, in a thread."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from typing import Any

import pytest

from bridge import server
from bridge.server import MAX_HEAD_BYTES, MAX_IGNORED_BYTES, Configuration, Server
from tests.bridge.sockets import connect, read_answer
from tests.support.system import wait_until

MAX_CONNECTIONS = 5
LARGE = b"x" * 4_000_000


async def small_app(scope: Any, receive: Any, send: Any) -> None:
    """Answers at once, whatever of the body has come: 401 on /early, much on /large, never on /never."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/never":
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    status = 401 if scope["path"] == "/early" else 200
    body = LARGE if scope["path"] == "/large" else b"ok"
    length = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": length})
    await send({"type": "http.response.body", "body": body})


class SmallServer:
    """The bridge's server with `small_app`, in a thread, with deadlines of a second or two."""

    def __init__(self) -> None:
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        self.address: tuple[str, int] = sockets[0].getsockname()
        self.operations: tuple[str, int] = sockets[1].getsockname()
        config = Configuration(small_app, MAX_CONNECTIONS, self.operations[1])
        self.server = Server(config, lambda: None)
        self._thread = threading.Thread(target=self.server.run, args=(sockets,))
        self._thread.start()

    def is_empty(self) -> bool:
        """Whether every connection is gone."""
        return not self.server.server_state.connections

    def stop(self) -> None:
        self.server.should_exit = True
        self._thread.join(20)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallServer]:
    monkeypatch.setattr(server, "IDLE_S", 2)
    monkeypatch.setattr(server, "ANSWER_S", 2)
    monkeypatch.setattr(server, "REQUEST_S", 1)
    monkeypatch.setattr(server, "UNREAD_S", 1)
    found = SmallServer()
    yield found
    found.stop()


GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
EARLY = b"POST /early HTTP/1.1\r\nHost: x\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


@dataclass(frozen=True)
class Left:
    """What a client sends, then once it has an answer, then again and again; and whether it reads."""

    first: bytes
    drip: bytes = b""
    reads: bool = True
    then: bytes = b""


LEFT = {
    "nothing is said": Left(b""),
    "half a head": Left(GET[:-2]),
    "a head that drips": Left(GET[:-2], b"x"),
    "a request, then silence": Left(GET),
    "a request, then a line end": Left(GET + b"\r\n"),
    "a request, then a line end after its answer": Left(GET, then=b"\r\n"),
    "a whole body after its early 401": Left(EARLY + b"Content-Length: 5\r\n\r\n", then=b"12345"),
    "line ends for ever": Left(GET, b"\r\n"),
    "half a request behind a whole one": Left(GET + GET[:10]),
    "a body after its early 401": Left(EARLY + b"Content-Length: 500\r\n\r\n", b"x"),
    "no body after its early 401": Left(EARLY + b"Content-Length: 500\r\n\r\n"),
    "a last request, then more": Left(GET.replace(b"Host: x", b"Host: x\r\nConnection: close"), b"x"),
    "an upgrade, then something else": Left(GET[:-2] + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", b"x"),
    "a chunk that drips": Left(EARLY + CHUNKED, b"1\r\nx\r\n"),
    "trailers that drip": Left(EARLY + CHUNKED + b"0\r\n", b"x: y\r\n"),
    "an answer that never comes": Left(GET.replace(b"/", b"/never", 1)),
    "answers that are never read": Left(GET.replace(b"/", b"/large", 1) * 50, reads=False),
    "a last answer that is never read": Left(
        GET.replace(b"/ ", b"/large ").replace(b"Host: x", b"Host: x\r\nConnection: close"), reads=False
    ),
}


@pytest.mark.parametrize("left", LEFT.values(), ids=LEFT)
def test_every_connection_is_closed_some_time_however_it_is_left(small: SmallServer, left: Left) -> None:
    with closing(connect(small.address)) as connection:
        wait_until(lambda: not small.is_empty(), "the connection is there", 5)
        connection.sendall(left.first)
        if left.then:
            read_answer(connection)
            connection.sendall(left.then)
        connection.settimeout(0.1)

        def is_closed() -> bool:
            with suppress(OSError):
                connection.sendall(left.drip)
            with suppress(OSError):
                if left.reads:
                    connection.recv(65_536)
            return small.is_empty()

        wait_until(is_closed, "the connection is closed", 8)


def test_a_connection_that_says_nothing_is_closed_without_a_word(small: SmallServer) -> None:
    with closing(connect(small.address)) as connection:
        assert connection.recv(1_000) == b""


def test_an_idle_connection_is_kept_longer_than_a_load_balancer_keeps_it(small: SmallServer) -> None:
    assert Configuration(small_app, 1).timeout_keep_alive == server.IDLE_S
    with closing(connect(small.address)) as connection:
        for _ in range(3):
            connection.sendall(GET)
            assert read_answer(connection)[1] == b"ok"
            time.sleep(1.3)  # longer than a request may take, shorter than a connection may be idle


def test_idle_time_by_default_is_above_the_sixty_seconds_of_load_balancers() -> None:
    assert server.IDLE_S == 75


ENDLESS = {
    "trailers": (CHUNKED + b"0\r\n", b"name: value\r\n" * 100),
    "chunk extensions": (CHUNKED, b"1;" + b"x" * 1_000 + b"\r\ny\r\n"),
    "a chunk's size": (CHUNKED + b"1;", b"x" * 1_000),
    "headers": (b"", b"name: value\r\n" * 100),
    "a line": (b"name: ", b"x" * 1_000),
}


@pytest.mark.parametrize(("first", "more"), ENDLESS.values(), ids=ENDLESS)
def test_all_of_a_request_that_is_not_its_body_shares_one_limit(
    small: SmallServer, first: bytes, more: bytes
) -> None:
    answer, sent = b"", 0
    with closing(connect(small.address)) as connection, suppress(ConnectionResetError, BrokenPipeError):
        connection.sendall(b"POST /never HTTP/1.1\r\nHost: x\r\n" + first)
        connection.settimeout(0.02)
        while not answer:
            connection.sendall(more)
            sent += len(more)
            assert sent < 20 * MAX_HEAD_BYTES
            with suppress(TimeoutError):
                answer = connection.recv(1_000)
    assert answer.startswith(b"HTTP/1.1 431 ")


def test_the_operations_port_answers_when_the_main_one_has_all_the_connections_it_takes(
    small: SmallServer,
) -> None:
    with ExitStack() as stack:
        for _ in range(MAX_CONNECTIONS):
            stack.enter_context(connect(small.address))
        for address, status in ((small.address, b"503"), (small.operations, b"200")):
            connection = stack.enter_context(connect(address))
            connection.sendall(GET)
            assert read_answer(connection)[0].startswith(b"HTTP/1.1 " + status)


def test_a_refused_body_is_read_for_a_while_and_no_longer(small: SmallServer) -> None:
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with closing(connect(small.address)) as connection:
        connection.sendall(EARLY + CHUNKED)
        assert read_answer(connection)[0].startswith(b"HTTP/1.1 401 ")
        sent = 0
        with suppress(ConnectionResetError, BrokenPipeError):
            while sent < 20 * MAX_IGNORED_BYTES:
                connection.sendall(chunk)
                sent += len(chunk)
        assert sent < 10 * MAX_IGNORED_BYTES
