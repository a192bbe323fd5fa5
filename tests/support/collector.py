"""An OTLP collector for tests: keeps the spans that are posted to it."""

from __future__ import annotations

from email.message import Message
from typing import Any

from tests.support.posts import Posts


class Collector(Posts):
    """Use as a context manager; `spans` are (service, span as protobuf) in order of arrival."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Any]] = []

    @property
    def environment(self) -> dict[str, str]:
        """What makes a process send its spans here, soon and uncompressed."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.address,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }

    def named(self, name: str) -> list[Any]:
        """The spans of this name."""
        return [span for _, span in self.spans if span.name == name]

    def answer(self, path: str, headers: Message, body: bytes) -> tuple[int, bytes]:
        """Take the spans."""
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        assert path == "/v1/traces"
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            names = {each.key: each.value.string_value for each in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [(names["service.name"], span) for span in scope.spans]
        return 200, b""
