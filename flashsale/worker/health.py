"""`/healthz`, `/readyz` and `/metrics` of a worker.

uvicorn serves them in a thread of its own, so that they answer while the worker's event loop is busy. Nobody
signs these requests, so a connection may take little: one request, a few seconds, and one of few places.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from typing import Any, cast

import uvicorn
from prometheus_client import CollectorRegistry, make_asgi_app
from uvicorn.protocols.http.h11_impl import H11Protocol

from streams.settings import ConfigurationError

State = Callable[[], tuple[bool, str]]
"""Whether it is so, and a line that says it."""

MAX_CONNECTIONS = 64
CONNECTION_S = 5.0
"""From the connection until the last byte of its answer has been taken."""

BACKLOG = 128


class Bounded(H11Protocol):
    """A connection ends after CONNECTION_S, whatever it does; the oldest ends when there are too many."""

    began_at: float
    _end: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The clock runs from here on: one that says nothing, or does not read its answer, is closed too."""
        super().connection_made(transport)
        self.began_at = self.loop.time()
        self._end = self.loop.call_later(CONNECTION_S, transport.abort)
        if len(self.connections) > MAX_CONNECTIONS:
            oldest = min(cast("set[Bounded]", self.connections), key=lambda other: other.began_at)
            self.connections.discard(oldest)
            oldest.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing to watch any more."""
        self._end.cancel()
        super().connection_lost(exc)


def serve(host: str, port: int, registry: CollectorRegistry, alive: State, ready: State) -> str:
    """Serve in the background; returns the address (a free port for 0). Raises ConfigurationError."""
    listener = _listen(host, port)
    config = uvicorn.Config(
        _app(registry, {"/healthz": alive, "/readyz": ready}),
        http=Bounded,
        ws="none",
        loop="asyncio",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        headers=[("connection", "close")],
        backlog=BACKLOG,
    )
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # what a stranger sends is not worth a line
    server = uvicorn.Server(config)
    threading.Thread(target=server.run, args=([listener],), name="health", daemon=True).start()
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        why = error.strerror or error
        raise ConfigurationError(f"--health-port {port} on {host} cannot be used: {why}.") from None


def _app(registry: CollectorRegistry, states: dict[str, State]) -> Any:
    metrics = make_asgi_app(registry)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await _say(send, 405, "GET and HEAD only", (b"allow", b"GET, HEAD"))
        elif scope["path"] == "/metrics":
            await metrics(scope, receive, send)
        elif scope["path"] in states:
            holds, text = states[scope["path"]]()
            await _say(send, 200 if holds else 503, text)
        else:
            await _say(send, 404, "not found: /healthz, /readyz and /metrics are here")

    return app


async def _say(send: Any, status: int, text: str, *headers: tuple[bytes, bytes]) -> None:
    body = f"{text}\n".encode()
    length = (b"content-length", b"%d" % len(body))
    kind = (b"content-type", b"text/plain; charset=utf-8")
    await send({"type": "http.response.start", "status": status, "headers": [kind, length, *headers]})
    await send({"type": "http.response.body", "body": body})
