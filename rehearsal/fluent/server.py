"""The process: a socket, uvicorn, and the line on standard output that says that it answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from pydantic import TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from rehearsal.fluent.api import Api
from rehearsal.fluent.control import Control
from rehearsal.fluent.delivery import Exchange
from rehearsal.fluent.oauth import Credentials
from rehearsal.fluent.switches import Controls
from rehearsal.fluent.world import Stock, World

Handler = Callable[[Request, Exchange], Awaitable[None]]

SALES_EVERY_S = 0.05
USUAL_PORT = 8080
SAMPLE_STOCK = Path(__file__).parent.parent / "data" / "stock.json"
"""What is in stock where nobody says so: enough for the examples of the documentation."""


class StartRefused(Exception):
    """The simulator cannot start; the text is a sentence for the person who started it."""


class _Raw:
    """An ASGI endpoint: what happens to a connection is more than a response can say."""

    def __init__(self, handler: Handler, stopping: asyncio.Event) -> None:
        self._handler = handler
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._handler(Request(scope, receive), Exchange(scope, receive, send, self._stopping))


def application(world: World, stopping: asyncio.Event) -> Starlette:
    api = Api(world)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        sales = asyncio.create_task(_other_channels(world))
        yield
        sales.cancel()

    return Starlette(
        routes=[
            Route("/graphql", _Raw(api.graphql, stopping), methods=["POST"]),
            Route("/oauth/token", _Raw(api.token, stopping), methods=["POST"]),
            *Control(world).routes(),
        ],
        lifespan=lifespan,
    )


async def _other_channels(world: World) -> None:
    owed = 0.0
    while True:
        await asyncio.sleep(SALES_EVERY_S)
        owed += world.controls.sales_per_second * SALES_EVERY_S
        while owed >= 1:
            owed -= 1
            world.channels.sell_one_somewhere()


def _protocol() -> type[Any]:
    """uvicorn's HTTP protocol (httptools where installed), which also tells each request its transport: so a
    fault can close a connection without an answer."""
    base: Any = AutoHTTPProtocol

    class Protocol(base):  # type: ignore[misc]
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.app_state: dict[str, Any] = {**self.app_state, "transport": transport}

    return Protocol


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._stopping = stopping
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT end the process with status 0; uvicorn's own would raise the signal again."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        self._stopping.set()
        self.should_exit = True


def read_stock(stock_file: str | Path) -> Stock:
    """``{"SKU-001":{"LOC-1":100}}``; raises StartRefused."""
    try:
        content = json.loads(Path(stock_file).read_text())
        return TypeAdapter(Stock).validate_python(content, strict=True)
    except OSError as error:
        raise StartRefused(f"the stock file cannot be read: {error}") from error
    except (json.JSONDecodeError, ValidationError) as error:
        hint = 'it must be JSON like {"SKU-001":{"LOC-1":100}}'
        raise StartRefused(f"the stock file {stock_file} is not valid, {hint}: {error}") from error


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named TCP, or asyncio leaves Nagle's algorithm on: 40 ms an answer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise StartRefused(f"cannot listen on {host}:{port}: {error}; choose another --port") from error
    return listener


async def serve(world: World, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Runs until SIGTERM or SIGINT; ``ready`` is called once connections are accepted."""
    stopping = asyncio.Event()
    config = uvicorn.Config(
        application(world, stopping),
        http=_protocol(),
        ws="none",
        proxy_headers=False,
        log_level="warning",
        access_log=False,
        backlog=2048,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=3,
    )
    await _Server(config, stopping, ready).serve([listener])


def run_foreground(
    port: int = USUAL_PORT,
    host: str = "127.0.0.1",
    stock_file: str | Path = SAMPLE_STOCK,
    seed: int = 0,
    latency_ms: float = 0,
    fault_rate: float = 0,
    controls: dict[str, Any] | None = None,
    catalogue: str = "DEFAULT:1",
) -> None:
    """Runs the simulator until SIGTERM or SIGINT; prints ``FLUENT_BASE_URL=http://host:port`` when ready.

    ``port`` 0 takes any free one; ``controls`` are more switches, by their names in JSON; the stock is that
    of ``catalogue``. What keeps it from starting is one sentence on standard error and SystemExit(2).
    """
    switches = {"latencyMs": latency_ms, "faultRate": fault_rate, **(controls or {})}
    try:
        world = _world(stock_file, seed, catalogue, switches)
        listener = _listening(host, port)
    except StartRefused as refused:
        print(refused, file=sys.stderr)
        raise SystemExit(2) from refused
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{listener.getsockname()[1]}"
    with listener:
        asyncio.run(serve(world, listener, lambda: print(f"FLUENT_BASE_URL={url}", flush=True)))


def _world(stock_file: str | Path, seed: int, catalogue: str, switches: dict[str, Any]) -> World:
    try:
        controls = Controls.model_validate(switches)
    except ValidationError as error:
        raise StartRefused(f"a switch of the simulator is not valid: {error}") from error
    known = Credentials.from_environment()
    return World(read_stock(stock_file), controls, seed=seed, catalogue=catalogue, credentials=known)
