"""What a worker measures, and the log lines that belong to it: docs/operations.md explains each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fluent import Meters
from streams.ledger.effects import Effects
from streams.log import get_logger

log = get_logger("worker")

SECONDS = (0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0, 2.0, 5.0)


class Metrics:
    """The registry of one worker; also the engine's observer."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.outcomes = Counter(
            "flashsale_outcomes", "Order outcomes published", ["outcome"], registry=registry
        )
        self.lines = Counter(
            "flashsale_lines",
            "Lines and SKUs decided, by reason (TAKEN: given)",
            ["reason"],
            registry=registry,
        )
        self.dead_letters = Counter(
            "flashsale_dead_letters", "Messages that could not be decided", ["reason"], registry=registry
        )
        self.transactions = Counter(
            "flashsale_transactions", "The worker's transactions by result", ["result"], registry=registry
        )
        self.commit_seconds = Histogram(
            "flashsale_commit_seconds", "From begin to durable", buckets=SECONDS, registry=registry
        )
        self.records = Counter("flashsale_records", "Records decided, by task", ["task"], registry=registry)
        self.dropped = Counter(
            "flashsale_fetches_dropped", "Fetches that did not continue the log", ["task"], registry=registry
        )
        self.lag = Gauge(
            "flashsale_lag_records", "Records not decided yet", ["topic", "partition"], registry=registry
        )
        self.watermark_delay = Gauge(
            "flashsale_watermark_delay_seconds",
            "How long the oldest deadline has been waiting for messages that were placed before it",
            registry=registry,
        )
        self.tasks = Gauge("flashsale_tasks", "Tasks owned and restored", registry=registry)
        self.ready = Gauge("flashsale_ready", "1 when a sale can start", registry=registry)
        self.restore_seconds = Gauge(
            "flashsale_restore_seconds", "Duration of the last take-over of tasks", registry=registry
        )
        self.fluent_outstanding = Gauge(
            "flashsale_fluent_outstanding", "Fluent requests queued or in flight", registry=registry
        )
        self.decided = 0

    def transaction(self, tasks: int, seconds: float) -> None:
        """A transaction with the output of this many tasks is durable."""
        self.transactions.labels("committed").inc()
        self.commit_seconds.observe(seconds)

    def committed(self, task: str, effects: Effects, records: int) -> None:
        """What a task had in it: count it, and say what a person should read."""
        self.records.labels(task).inc(records)
        self.decided += records
        for outcome, count in effects.outcomes.items():
            self.outcomes.labels(outcome).inc(count)
        for reason, count in effects.reasons.items():
            self.lines.labels(reason or "TAKEN").inc(count)
        for reason, count in effects.dead_letters.items():
            self.dead_letters.labels(reason).inc(count)
        for notice in effects.notices:
            getattr(log, notice.level)(notice.event, **notice.fields)

    def discarded(self, tasks: str, why: str) -> None:
        """Decisions were thrown away before anybody saw them."""
        self.transactions.labels("aborted").inc()
        log.warning("transaction_aborted", tasks=tasks, why=why, recommendation="none: it is decided again")

    def stands_still(self, task: str, why: str, seconds: float) -> None:
        """A task's transactions are aborted although they carry nothing else."""
        recommendation = "the other tasks go on; see docs/operations.md, 'A task that stands still'"
        log.error(
            "task_stands_still",
            task=task,
            why=why,
            again_in_s=round(seconds, 1),
            recommendation=recommendation,
        )

    def dropped_fetch(self, task: str, source: str, start: int, expected: int) -> None:
        """A fetch did not continue the log; it is read again."""
        self.dropped.labels(task).inc()
        log.debug("fetch_dropped", task=task, source=source, start=start, expected=expected)


class FluentCollector(Collector):
    """The gateway's own counts, read when somebody scrapes."""

    def __init__(self, meters: Meters) -> None:
        self._meters = meters

    def collect(self) -> Iterator[Metric]:
        """The figures as they are now."""
        meters = self._meters
        counts: list[tuple[str, str, tuple[str, ...], Mapping[Any, int]]] = [
            ("requests", "HTTP requests to Fluent", ("operation", "result"), meters.http_requests),
            ("calls", "Calls to Fluent, which share requests", ("operation", "result"), meters.calls),
            ("answers", "Requests of the ledger", ("request", "answer"), meters.answers),
            ("retries", "Calls and requests that were tried again", ("of",), _keyed(meters.retries)),
            ("logins", "Logins by grant and result", ("login",), _keyed(meters.logins)),
            ("dropped", "Requests of the ledger that were not carried out", ("why",), _keyed(meters.dropped)),
        ]
        for name, text, labels, values in counts:
            family = CounterMetricFamily(f"flashsale_fluent_{name}", text, labels=labels)
            for key, count in list(values.items()):
                family.add_metric(key, count)
            yield family
        gauges = {
            "breaker_open": ("1 while calls pause", float(meters.breaker != "closed")),
            "rate_share": ("Share of the configured rate in use", meters.rate_share),
            "document_misfits": (
                "Fields that Fluent's schema does not have",
                meters.document_misfits,
            ),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(f"flashsale_fluent_{name}", text, value=value)


def _keyed(counts: Mapping[str, int]) -> Mapping[Any, int]:
    return {(key,): count for key, count in list(counts.items())}
