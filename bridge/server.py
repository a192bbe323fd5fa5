"""How connections are served: HTTP/1.1 by h11 behind uvicorn, with a deadline in every state.

docs/decisions/0011-h11-serves-the-bridge.md says why this parser. uvicorn leaves slow and silent clients to a
proxy; here no timer has to be set, moved or cancelled for them. A connection only remembers when it began to
be what it is (idle, receiving, answering), and once a second all of them are looked at (`Connection.check`).
"""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Callable
from itertools import count
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

IDLE_S = 75
"""Between two requests, and before the first: longer than load balancers keep a connection (60 s)."""

REQUEST_S = 20.0
"""From a request's first byte until its last."""

ANSWER_S = 60.0
"""From a request's first byte until its answer: longer than body, Kafka and the longest wait together."""

UNREAD_S = 30.0
"""For what was written and is not read."""

MAX_HEAD_BYTES = 32 * 1024
"""All of a request that is not its body: request line, headers, framing of chunks, trailers."""

MAX_IGNORED_BYTES = 2_000_000
"""Of a body that was refused, and is read so that the caller sees why instead of a broken connection."""

BACKLOG = 2_048
FINISH_S = 20
TICKS_PER_SECOND = 10
"""Of uvicorn's main loop."""

ENDLESS = "flashsale.endless"
"""Set in a request's scope: its answer goes on for as long as somebody reads it."""

TOO_LARGE = 431

_TURNS = count()
_REFUSALS = {
    400: "Bad Request",
    408: "Request Timeout",
    TOO_LARGE: "Request Header Fields Too Large",
    501: "Not Implemented",
}
_REFUSED = "HTTP/1.1 {status} {phrase}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class Parser(h11.Connection):
    """h11's parser, which also bounds what it leaves unbounded and refuses what can be read in two ways."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, MAX_HEAD_BYTES)
        self.refusal = 400
        """The status for what was found to be wrong."""
        self._received = 0
        self._body = 0

    @property
    def is_idle(self) -> bool:
        """Whether no byte of a request is here."""
        return self.their_state is h11.IDLE and not self.trailing_data[0]

    def receive_data(self, data: bytes) -> None:
        """As h11's. Counts."""
        self._received += len(data)
        super().receive_data(data)

    def next_event(self) -> Any:
        """As h11's. Raises RemoteProtocolError; `refusal` is its status."""
        if self.their_state is h11.IDLE:
            self._skip_line_ends()
        try:
            event = super().next_event()
            if isinstance(event, h11.Request):
                self._check_head(event)
            elif isinstance(event, h11.Data):
                self._body += len(event.data)
            elif event is h11.NEED_DATA and self.their_state is h11.SEND_BODY:
                self._check_rest()
        except h11.RemoteProtocolError as error:
            self.refusal = error.error_status_hint
            raise
        return event

    def _skip_line_ends(self) -> None:
        """Some clients end a body with one that they do not count (RFC 9112, 2.2)."""
        data = self.trailing_data[0]
        count = len(data) - len(data.lstrip(b"\r\n"))
        if count:
            self._receive_buffer.maybe_extract_at_most(count)

    def _check_head(self, request: h11.Request) -> None:
        self._received, self._body = len(self.trailing_data[0]), 0
        size = len(request.target) + sum(len(name) + len(value) + 4 for name, value in request.headers)
        if size > MAX_HEAD_BYTES:
            raise h11.RemoteProtocolError("the head is too large", error_status_hint=TOO_LARGE)
        if {b"content-length", b"transfer-encoding"} <= {name for name, _ in request.headers}:
            raise h11.RemoteProtocolError("the body's length is given twice")

    def _check_rest(self) -> None:
        """All of the body that has come is parsed: what else has come is framing or trailers."""
        if self._received - self._body > MAX_HEAD_BYTES:
            raise h11.RemoteProtocolError("too much around the body", error_status_hint=TOO_LARGE)
        if self.our_state is h11.DONE and self._body > MAX_IGNORED_BYTES:
            raise h11.RemoteProtocolError("a refused body goes on and on")


class Connection(H11Protocol):
    """One connection. uvicorn's protocol, with our parser and deadlines."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.conn: Parser = Parser()
        self.turn = next(_TURNS) % TICKS_PER_SECOND
        self._since = self.loop.time()
        self._unread_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody is there. The operations port answers however many connections the other one has."""
        super().connection_made(transport)
        if isinstance(self.config, Configuration) and self.server is not None:
            is_operations = self.server[1] == self.config.operations_port
            self.limit_concurrency = None if is_operations else self.limit_concurrency

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing of it stays, however it ended."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        """Bytes of a request; what comes after the last one is dropped."""
        if self.conn.their_state in (h11.MUST_CLOSE, h11.CLOSED, h11.ERROR):
            return
        was_idle = self.conn.is_idle
        super().data_received(data)
        if was_idle and not self.conn.is_idle:
            self._since = self.loop.time()

    def on_response_complete(self) -> None:
        """What comes now has a time of its own."""
        self._since = self.loop.time()
        super().on_response_complete()

    def check(self, now: float) -> None:
        """Close what has been in one state for too long; `now` by the loop's clock."""
        if self._is_unread(now):
            self.transport.abort()
        elif now - self._since > self._allowed_s() and not self.transport.is_closing():
            if self.conn.their_state is h11.IDLE and not self.conn.is_idle:
                self._refuse(408)
            self.transport.close()

    def shutdown(self) -> None:
        """Close at once, or after the answer that is under way."""
        if self._is_answering() and not self.transport.is_closing():
            self.cycle.keep_alive = False
        else:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser could not take."""
        self._refuse(self.conn.refusal)
        self.transport.close()

    def _should_upgrade(self) -> bool:
        """Never: a server may ignore the offer (RFC 9110, 7.8), and h11 then reads the body as it is."""
        return False

    def _is_answering(self) -> bool:
        return self.conn.our_state in (h11.SEND_RESPONSE, h11.SEND_BODY)

    def _allowed_s(self) -> float:
        if self.conn.is_idle:
            return IDLE_S
        if self._is_answering() and ENDLESS in self.scope:
            return math.inf
        comes_in = self.conn.their_state in (h11.IDLE, h11.SEND_BODY)
        return REQUEST_S if comes_in else ANSWER_S

    def _is_unread(self, now: float) -> bool:
        if not self.transport.get_write_buffer_size():
            self._unread_since = None
        elif self._unread_since is None:
            self._unread_since = now
        return self._unread_since is not None and now - self._unread_since > UNREAD_S

    def _refuse(self, status: int) -> None:
        """Say why, unless an answer has begun already; whoever works on one stops."""
        if self.transport.is_closing() or self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        cycle: Any = self.cycle  # None before the first request, whatever its type says
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.write(_REFUSED.format(status=status, phrase=_REFUSALS[status]).encode())


class Configuration(uvicorn.Config):
    """How uvicorn serves an application. `operations_port` None: there is none."""

    def __init__(self, app: ASGIApp, max_connections: int, operations_port: int | None = None) -> None:
        super().__init__(
            app,
            http=Connection,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
            limit_concurrency=max_connections,
            timeout_keep_alive=IDLE_S,
            timeout_graceful_shutdown=FINISH_S,
        )
        self.operations_port = operations_port


class Server(uvicorn.Server):
    """Looks after its connections. Calls `begin_to_stop` before it waits for the last of them."""

    def __init__(self, config: uvicorn.Config, begin_to_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._begin_to_stop = begin_to_stop

    def leave(self) -> None:
        """Shut down as soon as it runs."""
        self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Close the connections that are due. Each has its turn once a second, so that no tick takes long."""
        now, turn = asyncio.get_running_loop().time(), counter % TICKS_PER_SECOND
        for connection in list(self.server_state.connections):
            if isinstance(connection, Connection) and connection.turn == turn:
                connection.check(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what was accepted."""
        self._begin_to_stop()
        await super().shutdown(sockets)
