"""What a worker does by the clock: ticks, gauges, a line of progress, and a look after stuck sources."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import structlog

from flashsale.worker.parts import Worker
from streams.engine.engine import Engine
from streams.engine.host.app import die

log = structlog.get_logger("worker")

NO_PARTITIONS_S = 45.0
"""A worker that owns nothing for so long although it is not restoring is stuck: a clean one is started."""

STUCK_AFTER_S = 5.0
"""A source with records and without progress for so long is sought again."""

PROGRESS_EVERY_S = 10.0


@dataclass
class Progress:
    """Positions as they were when each source last moved, and figures for the next line in the log."""

    moved_at: dict[str, tuple[int, float]] = field(default_factory=dict)
    records: int = 0
    told_at: float = 0.0

    def stuck(self, source: str, position: int, end: int, now: float) -> bool:
        """Whether a source has had records for a while and its position has not moved."""
        last = self.moved_at.get(source)
        if last is None or last[0] != position or position >= end:
            self.moved_at[source] = (position, now)
            return False
        if now - last[1] < STUCK_AFTER_S:
            return False
        self.moved_at[source] = (position, now)
        return True


def add_upkeep(worker: Worker) -> None:
    """Add the timers to the worker's app."""
    app, engine = worker.app, worker.engine
    look_every_s = min(0.25, worker.settings.config.release_interval_ms / 4_000)
    progress = Progress(told_at=time.monotonic())

    @app.timer(interval=look_every_s, name="ticks")
    async def ticks() -> None:
        worker.timers.look(engine.tasks, time.time_ns() // 1_000_000)

    @app.timer(interval=1.0, name="gauges")
    async def gauges() -> None:
        _show(worker)
        await _unstick(worker, progress)
        _tell(worker, progress)


def _show(worker: Worker) -> None:
    """Take the gauges' values from the parts of the worker."""
    metrics = worker.metrics
    metrics.tasks.set(len(worker.engine.tasks))
    metrics.ready.set(worker.engine.ready)
    metrics.fluent_outstanding.set(worker.requests.outstanding)
    metrics.behind = 0
    for task in worker.engine.tasks.values():
        for source, position in task.position.items():
            topic, _, number = source.rpartition("/")
            end = worker.consumer.end_offset(topic, int(number))
            if end is not None and position is not None:
                metrics.behind += max(0, end - position)
                metrics.lag.labels(topic, number).set(max(0, end - position))


async def _unstick(worker: Worker, progress: Progress) -> None:
    """Seek a source again that stands still although its log goes on; whatever moved the consumer away from
    the engine's position (a seek that a rebalance swallowed), the engine's position counts."""
    now = time.monotonic()
    for task in list(worker.engine.tasks.values()):
        for source, position in list(task.position.items()):
            topic, _, number = source.rpartition("/")
            end = worker.consumer.end_offset(topic, int(number))
            if end is None or position is None or not task.running or not task.protocol.idle:
                continue
            if progress.stuck(source, position, end, now):
                log.warning("source sought again", source=source, offset=position, end=end)
                await worker.engine.check_logs([task.name])
                await worker.consumer.reposition(topic, int(number), position)


def _tell(worker: Worker, progress: Progress) -> None:
    now, records = time.monotonic(), worker.metrics.decided
    if now - progress.told_at < PROGRESS_EVERY_S or records == progress.records:
        return
    per_second = round((records - progress.records) / (now - progress.told_at))
    log.info("decided", records=records - progress.records, per_second=per_second, lag=worker.metrics.behind)
    progress.records, progress.told_at = records, now


def watch(engine: Engine) -> None:
    """End a worker that owns nothing and restores nothing for too long (a recovery task that died)."""
    never = threading.Event()

    def loop() -> None:
        idle_since = time.monotonic()
        while not never.wait(1.0):
            if engine.flowing or engine.opening:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since > NO_PARTITIONS_S:
                die(f"no partitions for {NO_PARTITIONS_S:.0f} s")

    threading.Thread(target=loop, name="watchdog", daemon=True).start()
