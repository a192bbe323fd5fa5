"""Who waits for which answer: a caller waits for what names its own event as its source.

So two callers with the same order ref never get each other's answer.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from bridge.records import Arrival, Report, Source, read_page, read_report
from schemas.topics import DEAD_LETTERS, PROMOTION_RESULTS, RECONCILIATION_REPORTS

MAX_EARLY = 10_000
MAX_EARLY_BYTES = 16 << 20
"""Answers kept that came before the broker's acknowledgement was heard of: the newest ones."""

MAX_WAITERS = 4_000
"""Beyond this nobody waits: callers get their 202 at once."""

Key = Source | str
"""A source, or the id of a promotion whose FINAL report is waited for."""


class Waiter:
    """One caller's wait: done when the answer is complete, a dead letter or every page of it."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self._complete = asyncio.Event()

    def offer(self, arrival: Arrival) -> None:
        """Take a record that answers this caller's event."""
        if arrival.topic == DEAD_LETTERS:
            self.arrivals = [arrival]
        elif not self._complete.is_set():
            self.arrivals.append(arrival)
        if self._is_all(arrival):
            self._complete.set()

    def give_up(self) -> None:
        """Wake the caller without an answer."""
        self.arrivals = []
        self._complete.set()

    async def answer(self, timeout_s: float) -> list[Arrival]:
        """The records of the answer; empty when they have not come within `timeout_s` seconds."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._complete.wait()
        except TimeoutError:
            return []
        return self.arrivals

    def _is_all(self, arrival: Arrival) -> bool:
        return arrival.topic != PROMOTION_RESULTS or len(self.arrivals) >= read_page(arrival.value).pages


class Waiters:
    """All callers that wait, and the newest answers that nobody waited for yet."""

    def __init__(self) -> None:
        self._waiting: defaultdict[Key, list[Waiter]] = defaultdict(list)
        self._early: OrderedDict[Source, list[Arrival]] = OrderedDict()
        self._early_bytes = 0
        self._closed = False
        self.count = 0

    @property
    def is_full(self) -> bool:
        """Whether one more may not wait: too many do, or the bridge is shutting down."""
        return self._closed or self.count >= MAX_WAITERS

    @contextmanager
    def waiting(self, source: Source, final_report_of: str | None = None) -> Iterator[Waiter]:
        """A waiter for the answer to the event at `source`, or for the FINAL report of a promotion."""
        waiter = Waiter()
        keys: list[Key] = [source] if final_report_of is None else [source, final_report_of]
        for arrival in self._taken_early(source):
            waiter.offer(arrival)
        for key in keys:
            self._waiting[key].append(waiter)
        self.count += 1
        try:
            yield waiter
        finally:
            self.count -= 1
            for key in keys:
                self._leave(key, waiter)

    def arrived(self, arrival: Arrival) -> None:
        """Give a record to who waits for it."""
        if arrival.topic == RECONCILIATION_REPORTS:
            self._reported(arrival, read_report(arrival.value))
        elif arrival.source is not None:
            self._answered(arrival.source, arrival)

    def close(self) -> None:
        """Nobody waits any longer, and nobody begins to."""
        self._closed = True
        for waiters in list(self._waiting.values()):
            for waiter in waiters:
                waiter.give_up()

    def _reported(self, arrival: Arrival, report: Report) -> None:
        if report.kind == "FINAL" and report.is_complete:
            for waiter in self._waiting.get(report.promotion_id, ()):
                waiter.offer(arrival)

    def _answered(self, source: Source, arrival: Arrival) -> None:
        waiters = self._waiting.get(source)
        if waiters:
            for waiter in waiters:
                waiter.offer(arrival)
            return
        self._early.setdefault(source, []).append(arrival)
        self._early_bytes += len(arrival.value)
        while len(self._early) > MAX_EARLY or self._early_bytes > MAX_EARLY_BYTES:
            self._taken_early(next(iter(self._early)))

    def _taken_early(self, source: Source) -> list[Arrival]:
        arrivals = self._early.pop(source, [])
        self._early_bytes -= sum(len(arrival.value) for arrival in arrivals)
        return arrivals

    def _leave(self, key: Key, waiter: Waiter) -> None:
        left = self._waiting[key]
        left.remove(waiter)
        if not left:
            del self._waiting[key]
