"""Traces by OpenTelemetry: W3C trace context through Kafka, and spans by OTLP where an endpoint is set.

An extra: without OTEL_EXPORTER_OTLP_ENDPOINT nothing is imported and no span is made. What a caller or a
producer sends as `traceparent` travels all the same, as a header of the records that follow from it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from streams.settings import ConfigurationError

TRACEPARENT = "traceparent"
ENDPOINT = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
NS_PER_MS = 1_000_000
CLOSE_S = 2.0
"""The exporter itself goes on trying for 15 s and longer, which is all the time that a worker has to stop."""

_FORM = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""https://www.w3.org/TR/trace-context/, version 00."""


def traceparent(text: str) -> str:
    """The trace context in a header's text; empty where it is none."""
    return text if _FORM.fullmatch(text) else ""


class Tracer:
    """Makes spans of one service and sends them away in the background."""

    def __init__(self, service: str) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        resource = Resource.create({"service.name": service})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("flashsale")
        self._context = TraceContextTextMapPropagator()

    def begin(self, name: str, parent: str, kind: str, started_at_ms: int, **about: str | int) -> Any:
        """A span under the trace context `parent`, or of a trace of its own; `kind` is a name of SpanKind."""
        from opentelemetry.trace import SpanKind

        attributes = {key.replace("_", "."): value for key, value in about.items()}
        return self._tracer.start_span(
            name,
            self._context.extract({TRACEPARENT: parent}),
            SpanKind[kind],
            attributes,
            start_time=started_at_ms * NS_PER_MS,
        )

    def context_of(self, span: Any) -> str:
        """What a record or a request carries so that what follows from it is under this span."""
        from opentelemetry.trace import set_span_in_context

        carrier: dict[str, str] = {}
        self._context.inject(carrier, set_span_in_context(span))
        return carrier[TRACEPARENT]

    def close(self, within_s: float = CLOSE_S) -> None:
        """Send what is left, and wait for that so long: a collector that is away must not hold up a stop."""
        sending = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        sending.start()
        sending.join(within_s)


def tracer_of(environ: Mapping[str, str], service: str) -> Tracer | None:
    """The tracer that the environment asks for, None where it asks for none. Raises ConfigurationError."""
    if not any(environ.get(name) for name in ENDPOINT):
        return None
    try:
        return Tracer(environ.get("OTEL_SERVICE_NAME") or service)
    except ImportError:
        raise ConfigurationError(
            f"{ENDPOINT[0]} is set, but OpenTelemetry is not installed; install it with the extra otel "
            "(pip install 'flash-sale-reservations[otel]'), or unset the variable."
        ) from None


def trace_in(headers: Iterable[tuple[str, bytes | None]]) -> str:
    """The trace context in a record's headers; empty where there is none."""
    for name, value in headers:
        if name == TRACEPARENT and value is not None:
            return traceparent(value.decode("latin-1"))
    return ""
