"""The metrics of a bridge."""

from __future__ import annotations

from streams.metrics import CounterOf, GaugeOf, HistogramOf

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

READY = GaugeOf("flashsale_bridge_ready", "1 when `/readyz` says yes.", "it is 0 for longer than a start")
RESPONSES = CounterOf(
    "flashsale_bridge_responses",
    "Responses by route and status.",
    "401 rises: a caller's secret or clock is wrong; 503 rises: see the log for Kafka, else start more "
    "bridges; there is a 500: report it with the log",
    ("route", "status"),
)
ACKNOWLEDGE_SECONDS = HistogramOf(
    "flashsale_bridge_acknowledge_seconds",
    "From the first byte of a request until Kafka has its event.",
    "p99 is above 50 ms: start more bridges, or relieve the broker",
    bounds=SECONDS,
)
WAIT_SECONDS = HistogramOf(
    "flashsale_bridge_wait_seconds",
    "From there until the decision, for callers that waited and got it.",
    "it grows: it follows the workers' latency and lag",
    bounds=SECONDS,
)
WAIT_TIMEOUTS = CounterOf(
    "flashsale_bridge_wait_timeouts", "Callers that waited and got a 202.", "it rises: look at the workers"
)
EVENTS_UNDER_WAY = GaugeOf(
    "flashsale_bridge_events_under_way",
    "Events that Kafka does not have yet.",
    "it is near [the limit](bridge.md#limits): start more bridges",
)
WAITERS = GaugeOf(
    "flashsale_bridge_waiters",
    "Callers that wait for a decision.",
    "it is near [the limit](bridge.md#limits): start more bridges",
)
VIEWERS = GaugeOf(
    "flashsale_bridge_viewers",
    "Browsers that show a sale's live page.",
    "it is near [the limit](bridge.md#limits): start more bridges",
)
