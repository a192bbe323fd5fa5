"""`/healthz`, `/readyz` and `/metrics`: whether the bridge works, and what it measures.

docs/bridge.md says what each figure means and what to do about it.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bridge.problems import Problem, unavailable

FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")
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
    """The routes. `not_ready` says why the bridge should get no requests now, empty when it should.

    `open_metrics`: the figures are for every address, not only for loopback.
    """

    def __init__(self, metrics: Metrics, not_ready: Callable[[], str], *, open_metrics: bool) -> None:
        self._metrics = metrics
        self._not_ready = not_ready
        self._open_metrics = open_metrics

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
        """Figures for Prometheus, for this machine only unless `bridgeMetricsOpen` is set. Raises Problem."""
        if not self._open_metrics and not is_from_here(request):
            raise Problem(
                403,
                "The metrics are for clients on the bridge's own machine",
                "Ask from there, or set bridgeMetricsOpen in the configuration.",
            )
        return Response(self._metrics.page(), 200, media_type=MEDIA_TYPE)


def is_from_here(request: Request) -> bool:
    """Whether the client is on loopback, and no proxy on loopback speaks for somebody else."""
    if request.client is None or any(name in request.headers for name in FORWARDED):
        return False
    try:
        return ip_address(request.client.host).is_loopback
    except ValueError:
        return False
