"""Whether the bridge works (`/healthz`, `/readyz`), and on the operations port what it measures (`/metrics`).

`streams.metrics.bridge` says what each figure means and what to do about it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bridge.problems import HANDLERS, unavailable
from bridge.signing import PATHS
from streams.metrics import bridge

MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class Metrics:
    """The registry of one bridge."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.ready = bridge.READY.make(registry)
        self.responses = bridge.RESPONSES.make(registry)
        for path in PATHS.values():
            self.responses.labels(path, 500)  # so that an alert sees the first of them
        self.acknowledge_seconds = bridge.ACKNOWLEDGE_SECONDS.make(registry)
        self.wait_seconds = bridge.WAIT_SECONDS.make(registry)
        self.timeouts = bridge.WAIT_TIMEOUTS.make(registry)
        self.events = bridge.EVENTS_UNDER_WAY.make(registry)
        self.waiters = bridge.WAITERS.make(registry)
        self.viewers = bridge.VIEWERS.make(registry)

    def page(self) -> bytes:
        """The figures in Prometheus' text format."""
        return generate_latest(self.registry)


class Operations:
    """The routes. `not_ready` says why the bridge should get no requests now, empty when it should."""

    def __init__(self, metrics: Metrics, not_ready: Callable[[], str]) -> None:
        self._metrics = metrics
        self._not_ready = not_ready

    async def healthz(self, request: Request) -> Response:
        """The process serves requests."""
        return JSONResponse({"status": "ok"})

    async def readyz(self, request: Request) -> Response:
        """Kafka answers and the outcome topics are read. Raises Problem."""
        cause = self._not_ready()
        if cause:
            raise unavailable(cause, "Wait; where it lasts, check the bridge's log and `flashsale check`.")
        return JSONResponse({"status": "ready"})

    async def metrics(self, request: Request) -> Response:
        """Figures for Prometheus."""
        return Response(self._metrics.page(), 200, media_type=MEDIA_TYPE)

    def app(self, pages: Iterable[Route]) -> ASGIApp:
        """The application of the operations port. Nothing on it is signed; its address protects it."""
        routes = [
            Route("/healthz", self.healthz),
            Route("/readyz", self.readyz),
            Route("/metrics", self.metrics),
            *pages,
        ]
        return Starlette(routes=routes, exception_handlers=HANDLERS)


class ByPort:
    """ASGI: what comes in on `port` goes to `operations`, all else to `app`.

    The port is the one on which the connection was accepted, not one that a header names.
    """

    def __init__(self, app: ASGIApp, operations: ASGIApp, port: int) -> None:
        self._app = app
        self._operations = operations
        self._port = port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        is_operations = scope["type"] == "http" and scope["server"][1] == self._port
        await (self._operations if is_operations else self._app)(scope, receive, send)
