"""The bridge's part of a trace: what a caller sends travels on, under a span where spans are made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import Request

from streams.system import now_ms
from streams.tracing import TRACEPARENT, Tracer, traceparent


class Traces:
    """`tracer` None: no spans; a caller's trace context travels on as it is."""

    def __init__(self, tracer: Tracer | None) -> None:
        self._tracer = tracer

    @contextmanager
    def serving(self, request: Request) -> Iterator[str]:
        """The trace context for the record of a request's event; empty where there is none."""
        parent = traceparent(request.headers.get(TRACEPARENT, ""))
        if self._tracer is None:
            yield parent
            return
        route: str = request.scope["path"]
        span = self._tracer.begin(
            f"POST {route}", parent, "SERVER", now_ms(), http_request_method="POST", http_route=route
        )
        try:
            yield self._tracer.context_of(span)
        finally:
            span.end()
