"""`Prefer: wait=N`: how long a caller waits, which records it waits for, and what it is told.

A caller waits for the record that names its own event as the source, so two callers with the same order ref
never get each other's answer. The record's key is its own ref, too: a topic that was deleted and created
again, whose offsets begin at 0, never yields another order's answer.

From top to bottom: what the caller asked for (`wait_of`), who waits (`Waiters`, which `bridge.service` hands
every committed record of the outcome topics), and the response that is made of what came (`answer_of`).
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bridge.problems import Problem
from bridge.records import (
    Arrival,
    Fields,
    Source,
    read_fields,
    read_page,
    read_report,
    results_of,
)
from schemas.reasons import RECOMMENDATIONS, Reason
from schemas.structs import ReportHead
from schemas.topics import DEAD_LETTERS, PROMOTION_RESULTS, RECONCILIATION_REPORTS

MAX_WAIT_S = 30
MAX_EARLY = 10_000
MAX_EARLY_BYTES = 16 << 20
"""Answers kept that came before the broker's acknowledgement was heard of: the newest ones."""

MAX_WAITERS = 4_000
"""Beyond this nobody waits: callers get their 202 at once."""

Asked = tuple[Source, str]
"""The place of an event and its key, which is the order's ref or the promotion's id."""

Key = Asked | str
"""An event, or the id of a promotion whose FINAL report is waited for."""

STATUSES = {Reason.CONFLICT: 409, Reason.NO_PROMOTION: 404, Reason.UNPROCESSABLE: 500}
"""How a dead letter's reason is answered; every other one is 422."""


_WAIT = re.compile(r'wait\s*=\s*(?:(\d{1,9})|"(\d{1,9})")\s*(?:;.*)?', re.IGNORECASE)
_ASYNC = re.compile(r"respond-async\s*(?:;.*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Wait:
    """How long to wait, in seconds, and what `Preference-Applied` says about it (None: nothing)."""

    seconds: float
    applied: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The answer's headers about it."""
        return {} if self.applied is None else {"Preference-Applied": self.applied}


def wait_of(prefer: Iterable[str], default_s: float) -> Wait:
    """What the values of the `Prefer` headers ask for; `default_s` where they ask for nothing.

    More than MAX_WAIT_S is cut to that, which `Preference-Applied` says. What cannot be read is ignored, and
    of two the first counts, as RFC 7240 requires.
    """
    preferences = [part.strip() for value in prefer for part in value.split(",")]
    for preference in preferences:
        found = _WAIT.fullmatch(preference)
        if found:
            seconds = min(int(found[1] or found[2]), MAX_WAIT_S)
            return Wait(seconds, f"wait={seconds}")
    if any(_ASYNC.fullmatch(preference) for preference in preferences):
        return Wait(0, "respond-async")
    return Wait(default_s)


class Waiter:
    """One caller's wait: done when the answer is complete, a dead letter or every page of it."""

    def __init__(self) -> None:
        self._pages: dict[int, Arrival] = {}
        """By number: a page comes again where the topics' recent past is read once more."""
        self._complete = asyncio.Event()

    def offer(self, arrival: Arrival) -> None:
        """Take a record that answers this caller's event."""
        if arrival.topic == DEAD_LETTERS:
            self._pages = {0: arrival}
        elif not self._complete.is_set():
            self._pages[_page_of(arrival)] = arrival
        if self._is_all(arrival):
            self._complete.set()

    def give_up(self) -> None:
        """Wake the caller without an answer."""
        self._pages = {}
        self._complete.set()

    async def answer(self, timeout_s: float) -> list[Arrival]:
        """The records of the answer; empty when they have not come within `timeout_s` seconds."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._complete.wait()
        except TimeoutError:
            return []
        return list(self._pages.values())

    def _is_all(self, arrival: Arrival) -> bool:
        return arrival.topic != PROMOTION_RESULTS or len(self._pages) >= read_page(arrival.value).pages


class Waiters:
    """All callers that wait, and the newest answers that nobody waited for yet."""

    def __init__(self) -> None:
        self._waiting: defaultdict[Key, list[Waiter]] = defaultdict(list)
        self._early: OrderedDict[Asked, list[Arrival]] = OrderedDict()
        self._early_bytes = 0
        self._closed = False
        self.count = 0

    @property
    def is_full(self) -> bool:
        """Whether one more may not wait: too many do, or the bridge is shutting down."""
        return self._closed or self.count >= MAX_WAITERS

    @contextmanager
    def waiting(self, source: Source, key: str, *, final_report: bool = False) -> Iterator[Waiter]:
        """A waiter for the answer to the event with `key` at `source`.

        `final_report`: the FINAL report of the promotion that `key` names is an answer, too.
        """
        waiter = Waiter()
        keys: list[Key] = [(source, key), key] if final_report else [(source, key)]
        for arrival in self._taken_early((source, key)):
            waiter.offer(arrival)
        for each in keys:
            self._waiting[each].append(waiter)
        self.count += 1
        try:
            yield waiter
        finally:
            self.count -= 1
            for each in keys:
                self._leave(each, waiter)

    def arrived(self, arrival: Arrival) -> None:
        """Give a record to the callers that wait for it."""
        if arrival.topic == RECONCILIATION_REPORTS:
            self._reported(arrival, read_report(arrival.value))
        elif arrival.source is not None:
            self._answered((arrival.source, arrival.key), arrival)

    def close(self) -> None:
        """Nobody waits any longer, and nobody begins to."""
        self._closed = True
        for waiters in list(self._waiting.values()):
            for waiter in waiters:
                waiter.give_up()

    def _reported(self, arrival: Arrival, report: ReportHead) -> None:
        if report.kind == "FINAL" and report.is_last_page:
            for waiter in self._waiting.get(report.promotion_id, ()):
                waiter.offer(arrival)

    def _answered(self, asked: Asked, arrival: Arrival) -> None:
        waiters = self._waiting.get(asked)
        if waiters:
            for waiter in waiters:
                waiter.offer(arrival)
            return
        self._early.setdefault(asked, []).append(arrival)
        self._early_bytes += len(arrival.value)
        while len(self._early) > MAX_EARLY or self._early_bytes > MAX_EARLY_BYTES:
            self._taken_early(next(iter(self._early)))

    def _taken_early(self, asked: Asked) -> list[Arrival]:
        arrivals = self._early.pop(asked, [])
        self._early_bytes -= sum(len(arrival.value) for arrival in arrivals)
        return arrivals

    def _leave(self, key: Key, waiter: Waiter) -> None:
        left = self._waiting[key]
        left.remove(waiter)
        if not left:
            del self._waiting[key]


def _page_of(arrival: Arrival) -> int:
    return read_page(arrival.value).page if arrival.topic == PROMOTION_RESULTS else 0


def answer_of(arrivals: list[Arrival], duration_ms: int) -> Fields:
    """The template's response to the event that `arrivals` answer. Raises Problem for a dead letter."""
    first = arrivals[0]
    if first.topic == DEAD_LETTERS:
        raise _problem_of(first)
    if first.topic == PROMOTION_RESULTS:
        fields = results_of(arrival.value for arrival in arrivals)
    elif first.topic == RECONCILIATION_REPORTS:
        fields = ended(read_report(first.value))
    else:
        fields = read_fields(first.value)
    return {"status": 200, **fields, "duration": duration_ms}


def ended(report: ReportHead) -> Fields:
    """The answer to a `promotion-end` that is done."""
    return {"promotionId": report.promotion_id, "report": report}


def _problem_of(dead_letter: Arrival) -> Problem:
    headers = dead_letter.headers
    reason = headers.get("reason", Reason.INVALID)
    known = reason if reason in Reason.__members__ else Reason.INVALID
    error = headers.get("error", "The event could not be decided")
    recommendation = headers.get("recommendation", RECOMMENDATIONS[Reason(known)])
    return Problem(STATUSES.get(Reason(known), 422), error, recommendation, reason=reason)
