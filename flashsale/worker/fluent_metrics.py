"""The gateway's own counts on /metrics, read when somebody scrapes."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fluent import Meters


class FluentCollector(Collector):
    """Requests by operation and result, and how hard Fluent asks us to slow down."""

    def __init__(self, meters: Meters) -> None:
        self._meters = meters

    def collect(self) -> Iterator[Metric]:
        """The figures as they are now."""
        meters = self._meters
        requests = CounterMetricFamily(
            "flashsale_fluent_requests", "HTTP requests to Fluent", labels=["operation", "result"]
        )
        for (operation, result), count in list(meters.http_requests.items()):
            requests.add_metric([operation, result], count)
        yield requests
        yield GaugeMetricFamily(
            "flashsale_fluent_breaker_open", "1 while calls pause", value=float(meters.breaker != "closed")
        )
        yield GaugeMetricFamily(
            "flashsale_fluent_rate_share", "Share of the configured rate in use", value=meters.rate_share
        )
