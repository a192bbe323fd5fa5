"""Whether the bridge works (`/healthz`, `/readyz`), and on the operations port what it measures (`/metrics`).

docs/bridge.md says what each figure means and what to do about it.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bridge.problems import HANDLERS, unavailable

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class Metrics:
    """The registry of one bridge."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.responses = Counter(
            "flashsale_bridge_responses",
            "Responses by route and status",
            ["route", "status"],
            registry=registry,
        )
        self.acknowledge_seconds = Histogram(
            "flashsale_bridge_acknowledge_seconds",
            "From the first byte of a request until the broker has its event",
            buckets=SECONDS,
            registry=registry,
        )
        self.wait_seconds = Histogram(
            "flashsale_bridge_wait_seconds",
            "From the acknowledgement until the decision, for callers that waited and got it",
            buckets=SECONDS,
            registry=registry,
        )
        self.timeouts = Counter(
            "flashsale_bridge_wait_timeouts", "Callers that waited in vain", registry=registry
        )
        self.events = Gauge(
            "flashsale_bridge_events_under_way", "Events that the broker does not have yet", registry=registry
        )
        self.waiters = Gauge(
            "flashsale_bridge_waiters", "Callers that wait for a decision", registry=registry
        )
        self.ready = Gauge(
            "flashsale_bridge_ready", "1 when Kafka answers and all is read", registry=registry
        )

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

    def app(self) -> ASGIApp:
        """The application of the operations port. Nothing on it is signed; its address protects it."""
        routes = [
            Route("/healthz", self.healthz),
            Route("/readyz", self.readyz),
            Route("/metrics", self.metrics),
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
