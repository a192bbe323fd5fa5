"""HTTP/1.1 on a connection, with the limits that uvicorn leaves to a proxy: header size and slow requests."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEADER_BYTES = 32 * 1024
REQUEST_S = 20.0
"""From a request's first byte, or from the connection, until its last byte."""

_REFUSED = "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which also closes what sends too much of a header, or too slowly."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._deadline: asyncio.TimerHandle | None = None
        self._header_bytes = 0
        self._in_head = False
        self._in_body = False
        self._begun = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The clock runs from the connection on: one that says nothing is closed as well."""
        super().connection_made(transport)
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing to watch any more."""
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what belongs to a header that is still not complete."""
        self._begun = int(self._in_head or self._in_body)
        super().data_received(data)
        if self._in_head and self._begun == 1:  # nothing of an earlier request is in it
            self._header_bytes += len(data)
            if self._header_bytes > MAX_HEADER_BYTES:
                self._refuse("431 Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._begun += 1
        self._header_bytes = 0
        self._in_head = True
        self._start_clock()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Raises ValueError, which uvicorn answers with 400, for a header that is too large."""
        super().on_header(name, value)
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MAX_HEADER_BYTES:
            raise ValueError("the request's header is too large")

    def on_headers_complete(self) -> None:
        """What comes now is the body; the gate counts it."""
        self._in_head, self._in_body = False, True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is complete; its answer may take its time."""
        self._stop_clock()
        self._in_body = False
        super().on_message_complete()

    def _start_clock(self) -> None:
        self._stop_clock()
        self._deadline = self.loop.call_later(REQUEST_S, self._too_slow)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        if self._in_body:
            self.transport.close()
        else:
            self._refuse("408 Request Timeout")

    def _refuse(self, status: str) -> None:
        if not self.transport.is_closing():
            self.transport.write(_REFUSED.format(status=status).encode())
            self.transport.close()
