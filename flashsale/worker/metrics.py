"""What a worker measures, as `streams.metrics` defines it, and the log lines that belong to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from fluent import Meters
from streams.ledger.effects import HELD, RELEASED, Effects, Notice
from streams.log import get_logger
from streams.metrics import fluent as definitions
from streams.metrics import worker
from streams.system import now_ms

log = get_logger("worker")

State = Callable[[], bool]
"""Whether something is so now."""


class Metrics:
    """The registry of one worker; also the engine's observer. `partitions`: how many tasks there are."""

    def __init__(self, partitions: int) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.ready = worker.READY.make(registry)
        self.kafka_connected = worker.KAFKA_CONNECTED.make(registry)
        self.intake_stopped = worker.INTAKE_STOPPED.make(registry)
        self.tasks = worker.TASKS.make(registry)
        worker.PARTITIONS.make(registry).set(partitions)
        self.restore_seconds = worker.RESTORE_SECONDS.make(registry)
        self.lag = worker.LAG_RECORDS.make(registry)
        self.position = worker.POSITION_OFFSET.make(registry)
        self.watermark_delay = worker.WATERMARK_DELAY_SECONDS.make(registry)
        self.records = worker.RECORDS.make(registry)
        self.decision_seconds = worker.DECISION_SECONDS.make_weighted(registry)
        self.stage_seconds = worker.STAGE_SECONDS.make_weighted(registry)
        self.waits = {
            HELD: worker.HOLD_SECONDS.make(registry),
            RELEASED: worker.RELEASE_SECONDS.make(registry),
        }
        self.outcomes = worker.OUTCOMES.make(registry)
        self.lines = worker.LINES.make(registry)
        self.units = worker.UNITS.make(registry)
        self.dead_letters = worker.DEAD_LETTERS.make(registry)
        self.notices = worker.NOTICES.make(registry)
        self.drift = worker.DRIFT.make(registry)
        self.transactions = worker.TRANSACTIONS.make(registry)
        self.commit_seconds = worker.COMMIT_SECONDS.make(registry)
        self.standstills = worker.STANDSTILLS.make(registry)
        self.dropped = worker.FETCHES_DROPPED.make(registry)
        self.fluent_outstanding = definitions.OUTSTANDING.make(registry)
        self.decided = 0
        self._sources: frozenset[tuple[str, str]] = frozenset()

    def ask(self, ready: State, connected: State, intake_stopped: State) -> None:
        """Take these gauges from their sources whenever somebody scrapes: what a worker does by the clock may
        wait for a broker that is away."""
        self.ready.set_function(ready)
        self.kafka_connected.set_function(connected)
        self.intake_stopped.set_function(intake_stopped)

    def show_positions(self, sources: Mapping[tuple[str, str], tuple[int, int]]) -> None:
        """Position and lag by topic and partition; those of a partition that went away vanish."""
        for gone in self._sources - sources.keys():
            self.position.remove(*gone)
            self.lag.remove(*gone)
        for source, (position, lag) in sources.items():
            self.position.labels(*source).set(position)
            self.lag.labels(*source).set(lag)
        self._sources = frozenset(sources)

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
        for what, units in effects.units.items():
            self.units.labels(what).inc(units)
        for notice in effects.notices:
            self._notice(notice)
        self._measure(effects)

    def _notice(self, notice: Notice) -> None:
        getattr(log, notice.level)(notice.event, **notice.fields)
        if notice.level != "info":
            self.notices.labels(notice.event).inc()
        if notice.event == "drift":
            self.drift.labels(notice.fields["kind"]).inc()

    def _measure(self, effects: Effects) -> None:
        """How long it took, with one observation a batch."""
        for wait, waited_ms in effects.waits:
            self.waits[wait].observe(waited_ms / 1_000)
        durable_at_ms = now_ms()
        for batch in effects.batches:
            waited_s = max(0, durable_at_ms - batch.appended_at_ms) / 1_000
            self.stage_seconds.observe(waited_s, batch.records, batch.stage)
            if batch.placed_at_ms:
                waited_s = max(0, durable_at_ms - batch.placed_at_ms) / 1_000
                self.decision_seconds.observe(waited_s, batch.records)

    def discarded(self, tasks: str, why: str) -> None:
        """Decisions were thrown away before anybody saw them."""
        self.transactions.labels("aborted").inc()
        log.warning("transaction_aborted", tasks=tasks, why=why, recommendation="none: it is decided again")

    def stands_still(self, task: str, why: str, seconds: float) -> None:
        """A task's transactions are aborted although they carry nothing else."""
        self.standstills.inc()
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
        yield definitions.REQUESTS.family(meters.http_requests)
        yield definitions.CALLS.family(meters.calls)
        yield definitions.ANSWERS.family(meters.answers)
        yield definitions.RETRIES.family(_keyed(meters.retries))
        yield definitions.LOGINS.family(_keyed(meters.logins))
        yield definitions.DROPPED.family(_keyed(meters.dropped))
        yield definitions.BREAKER_OPEN.family(meters.breaker != "closed")
        yield definitions.RATE_SHARE.family(meters.rate_share)
        yield definitions.DOCUMENT_MISFITS.family(meters.document_misfits)


def _keyed(counts: Mapping[str, int]) -> Mapping[Any, int]:
    return {(key,): count for key, count in list(counts.items())}
