"""Writes a worker's note (`flashsale.notes`) for `flashsale status`: which task it has since when, and how it
stands with Fluent."""

from __future__ import annotations

import time

from agents.broker_time import BrokerTime
from agents.dead_letter_limit import DeadLetterLimit
from flashsale.notes import END, Note
from fluent import Meters
from streams.engine.engine import Engine


class NoteWriter:
    """Says how one worker stands at the moment."""

    def __init__(self, engine: Engine, brokers: BrokerTime, meters: Meters, limit: DeadLetterLimit) -> None:
        self._engine = engine
        self._brokers = brokers
        self._meters = meters
        self._limit = limit
        self._since: dict[int, tuple[float, int]] = {}
        """By task: when it was taken over, by the monotonic clock, and as it was written."""

    def of(self, task: int) -> str:
        """What stands beside the offset of that task's partition; nothing while the group rebalances."""
        member = self._engine.protocol.member
        if member is None:
            return END
        at, meters = time.monotonic(), self._meters
        since_ms = self._since_ms(task, at, self._brokers.now_ms())
        heard_lately = self._brokers.clock.fresh(at)
        return Note(
            member.member_id,
            since_ms,
            self._brokers.heard_ms() if heard_lately else None,
            meters.breaker,
            meters.requests_queued,
            meters.skus_in_flight,
            self._limit.stopped,
        ).encode()

    def _since_ms(self, number: int, at: float, now: int) -> int | None:
        """The same each time, although the two clocks differ by another millisecond each time."""
        task = self._engine.tasks.get(f"task-{number}")
        if task is None or task.taken_over_at is None:
            return None
        known = self._since.get(number)
        if known is None or known[0] != task.taken_over_at:
            since_ms = now - round(1_000 * (at - task.taken_over_at))
            known = self._since[number] = (task.taken_over_at, since_ms)
        return known[1]
