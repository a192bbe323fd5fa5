"""What a worker does by the clock: gauges, a line of progress, and a look after what stands still."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import cast

from agents.dead_letter_limit import DeadLetterLimit
from agents.fluent_requests import FluentRequests
from flashsale.worker.connection import Connection
from flashsale.worker.metrics import Metrics
from schemas.topics import INPUTS
from streams.engine.host.app import EngineApp
from streams.engine.host.consumer import Consumer, Ends
from streams.engine.takeover import parse
from streams.log import get_logger

log = get_logger("worker")

NO_PARTITIONS_S = 45.0
"""A worker that owns nothing for this long, although it is not restoring, is stuck: it is replaced."""

STUCK_AFTER_S = 5.0
"""A source that has records to read, but no progress for this long, is sought again."""

TOPICS_EVERY_S = 5.0
"""A topic that was deleted and created again is noticed so soon."""

PROGRESS_EVERY_S = 10.0
UNKNOWN = Ends(None, None)


class Upkeep:
    """The chores of one worker, once a second."""

    def __init__(
        self,
        app: EngineApp,
        metrics: Metrics,
        requests: FluentRequests,
        limit: DeadLetterLimit,
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._requests = requests
        self._limit = limit
        self._inputs = frozenset(map(app.engine.options.wire_name, INPUTS))
        self._behind = 0
        self._moved_at: dict[str, tuple[int, float]] = {}
        """Each source's position, and when it last moved."""
        self._looked_at = time.monotonic()
        self._told = (0, time.monotonic())
        """Records decided, and when the last line about them was written."""

    def register(self) -> None:
        """Put the chores on a timer of the app."""

        @self._app.timer(interval=1.0, name="upkeep")
        async def upkeep() -> None:
            ends = self._consumer.ends()
            self._show(ends)
            await self._unstick(ends)
            await self._look_at_topics()
            self._tell()

    def _show(self, ends: Mapping[str, Ends]) -> None:
        """Take the gauges' values from the parts of the worker."""
        engine, metrics = self._app.engine, self._metrics
        metrics.tasks.set(len(engine.tasks))
        metrics.fluent_outstanding.set(self._requests.outstanding)
        sources = {}
        for task in engine.tasks.values():
            for source, position in task.position.items():
                end = ends.get(source, UNKNOWN).written
                if end is not None:
                    topic, _, partition = source.rpartition("/")
                    sources[topic, partition] = position, max(0, end - position)
        metrics.show_positions(sources)
        self._behind = sum(lag for _, lag in sources.values())

    async def _unstick(self, ends: Mapping[str, Ends]) -> None:
        """Seek a source again that stands still although its log goes on; whatever moved the consumer away
        from the engine's position (a seek that a rebalance swallowed), the engine's position counts."""
        engine, now = self._app.engine, time.monotonic()
        for task in list(engine.tasks.values()):
            for source, position in list(task.position.items()):
                end = ends.get(source, UNKNOWN).readable
                if end is None or not task.running or not task.idle or self._stopped(source):
                    continue
                if self._stuck(source, position, end, now):
                    log.warning(
                        "source_sought_again",
                        source=source,
                        offset=position,
                        end=end,
                        recommendation="none: it goes on from the right place; when it repeats, report it",
                    )
                    await engine.check_logs([task.name])
                    await self._consumer.reposition({parse(source): position})

    def _stopped(self, source: str) -> bool:
        """Whether the limit of dead letters keeps a source from being read."""
        return self._limit.stopped and parse(source)[0] in self._inputs

    async def _look_at_topics(self) -> None:
        """Whether a topic was deleted and created again: its records would be skipped up to our position."""
        now = time.monotonic()
        if now - self._looked_at > TOPICS_EVERY_S:
            self._looked_at = now
            await self._app.engine.check_topics()

    def _stuck(self, source: str, position: int, end: int, now: float) -> bool:
        """Whether a source has had records for a while and its position has not moved."""
        before, since = self._moved_at.get(source, (None, now))
        stands = before == position < end
        if stands and now - since < STUCK_AFTER_S:
            return False
        self._moved_at[source] = (position, now)
        return stands

    def _tell(self) -> None:
        """A line of progress every few seconds while there is work."""
        records, now = self._metrics.decided, time.monotonic()
        told, told_at = self._told
        if now - told_at < PROGRESS_EVERY_S or records == told:
            return
        per_second = round((records - told) / (now - told_at))
        log.info("decided", records=records - told, per_second=per_second, lag=self._behind)
        self._told = records, now

    @property
    def _consumer(self) -> Consumer:
        """The app's consumer; Faust knows it by its interface only."""
        return cast(Consumer, self._app.consumer)


def watch(app: EngineApp, connection: Connection) -> None:
    """Look after the connection, and end a worker that owns nothing and restores nothing for too long."""
    never, engine = threading.Event(), app.engine

    def loop() -> None:
        idle_since = time.monotonic()
        while not never.wait(1.0):
            connection.look()
            if engine.flowing or engine.opening:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since > NO_PARTITIONS_S:
                app.hooks.die(f"no partitions for {NO_PARTITIONS_S:.0f} s")

    threading.Thread(target=loop, name="watchdog", daemon=True).start()
