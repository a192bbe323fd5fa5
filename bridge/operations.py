"""`/healthz`, `/readyz` and `/metrics`: for who runs the bridge, not for who uses it."""

from __future__ import annotations

from ipaddress import ip_address

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bridge.metrics import MEDIA_TYPE
from bridge.problems import Problem, unavailable
from bridge.service import Bridge

FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")


class Operations:
    """Health and figures of one bridge."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    async def healthz(self, request: Request) -> Response:
        """The process serves requests."""
        return JSONResponse({"status": "ok"})

    async def readyz(self, request: Request) -> Response:
        """Kafka answers and the outcome topics are read. Raises Problem."""
        cause = self._bridge.not_ready()
        if cause:
            raise unavailable(cause, "Wait; where it lasts, check the bridge's log and `flashsale check`.")
        return JSONResponse({"status": "ready"})

    async def metrics(self, request: Request) -> Response:
        """Figures for Prometheus, for this machine only unless `bridgeMetricsOpen` is set. Raises Problem."""
        if not self._bridge.settings.config.bridge_metrics_open and not is_from_here(request):
            raise Problem(
                403,
                "The metrics are for clients on the bridge's own machine",
                "Ask from there, or set bridgeMetricsOpen in the configuration.",
            )
        return Response(self._bridge.metrics.page(), 200, media_type=MEDIA_TYPE)


def is_from_here(request: Request) -> bool:
    """Whether the client is on loopback, and no proxy on loopback speaks for somebody else."""
    if request.client is None or any(name in request.headers for name in FORWARDED):
        return False
    try:
        return ip_address(request.client.host).is_loopback
    except ValueError:
        return False
