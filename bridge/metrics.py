"""What the bridge measures; docs/bridge.md says what each figure means and what to do about it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

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
