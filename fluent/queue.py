"""The queue in front of the gateway: many SKUs at once, one request per SKU at a time.

Requests of one SKU are carried out in the order in which they came, those of different SKUs in any order.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

from fluent.check import warn_of_misfits
from fluent.gateway import Gateway
from fluent.meters import Meters
from streams.ledger.commands import HoldConfirmed, HoldFailed, SkuCommand
from streams.ledger.fluent_requests import FluentRequest
from streams.log import get_logger

log = get_logger("fluent")

OnAnswer = Callable[[SkuCommand], None]
OnDone = Callable[[], None]

REMEMBERED = 50_000
"""Reservations of which the newest number (and a hold's answer) is kept, so that an old repeat is not carried
out again."""
PROGRESS_S = 5.0


@dataclass(slots=True)
class _Entry:
    request: FluentRequest
    on_answer: OnAnswer
    on_done: OnDone | None

    def done(self) -> None:
        if self.on_done is not None:
            self.on_done()


@dataclass(slots=True)
class _Known:
    number: int
    answer: HoldConfirmed | HoldFailed | None = None


class RequestQueue:
    """`submit` from the event loop's thread. `max_queued` requests wait, `max_skus` are worked on at once."""

    def __init__(
        self,
        gateway: Gateway,
        *,
        max_queued: int = 20_000,
        max_skus: int = 1_000,
        check_documents: bool = True,
    ) -> None:
        """`check_documents`: with the first request, warn of documents that do not fit the schema."""
        self.gateway = gateway
        self._documents_unchecked = check_documents
        self._max_queued = max_queued
        self._max_skus = max_skus
        self._queues: dict[str, OrderedDict[str, _Entry]] = {}
        """By SKU, then by promotion: a reservation has one place, however often it is asked for."""
        self._ready: deque[str] = deque()
        self._busy: dict[str, _Entry] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()
        self._queued = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self._progress: asyncio.Task[None] | None = None
        self._answered = 0

    @property
    def meters(self) -> Meters:
        """What gateway and queue count."""
        return self.gateway.meters

    def submit(self, request: FluentRequest, on_answer: OnAnswer, on_done: OnDone | None = None) -> bool:
        """Takes a request; False when the queue is full, and nothing was done with it.

        `on_answer` gets the answer, if there is one. `on_done` is called once for each request that was
        taken: when it was answered, could not be, was superseded by a newer one, or repeats a waiting one.
        A closed queue does nothing with what it takes, and calls neither.
        """
        entry = _Entry(request, on_answer, on_done)
        if self._closed:
            return True
        if self._is_old(entry):
            self.meters.dropped_repeats += 1
            entry.done()
            return True
        queue = self._queues.setdefault(request.sku, OrderedDict())
        before = queue.get(request.promotion_id)
        if before is None and self._queued >= self._max_queued:
            self.meters.refused_full += 1
            if not queue:
                del self._queues[request.sku]
            return False
        queue[request.promotion_id] = entry
        if before is None:
            self._count_queued(+1)
        else:
            self.meters.superseded += 1
            before.done()
        if len(queue) == 1 and before is None and request.sku not in self._busy:
            self._ready.append(request.sku)
        self._start()
        return True

    def _is_old(self, entry: _Entry) -> bool:
        """A repeat of what is queued or in flight, or older than that; an answered hold is answered again."""
        request = entry.request
        queue = self._queues.get(request.sku)
        queued = queue.get(request.promotion_id) if queue else None
        if queued is not None and queued.request.number >= request.number:
            return True
        busy = self._busy.get(request.sku)
        if busy is not None and busy.request.promotion_id == request.promotion_id:
            return busy.request.number >= request.number
        known = self._known.get((request.promotion_id, request.sku))
        if known is None or known.number < request.number:
            return False
        if known.number == request.number and known.answer is not None:
            entry.on_answer(known.answer)
            return True
        return known.number > request.number

    def _start(self) -> None:
        if self._documents_unchecked:
            self._documents_unchecked = False
            self._keep(asyncio.create_task(self._check_documents()))
        while self._ready and len(self._busy) < self._max_skus and not self._closed:
            sku = self._ready.popleft()
            queue = self._queues[sku]
            _, entry = queue.popitem(last=False)
            self._count_queued(-1)
            self._busy[sku] = entry
            self._idle.clear()
            self.meters.skus_in_flight = len(self._busy)
            self._keep(asyncio.create_task(self._work(sku, entry)))
        if self._progress is None and self._busy:
            self._progress = asyncio.create_task(self._show_progress())

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _check_documents(self) -> None:
        found = await warn_of_misfits(self.gateway.client, self.gateway.profile)
        self.meters.document_misfits = len(found)

    async def _work(self, sku: str, entry: _Entry) -> None:
        request = entry.request
        answer = None
        try:
            answer = await self.gateway.handle(request)
        except Exception:
            log.exception("fluent_request_failed", request=type(request).__name__, sku=sku)
        finally:
            self._finish(sku, request, answer)
        if answer is not None:
            self._answered += 1
            entry.on_answer(answer)
        entry.done()

    def _finish(self, sku: str, request: FluentRequest, answer: SkuCommand | None) -> None:
        del self._busy[sku]
        self.meters.skus_in_flight = len(self._busy)
        if answer is not None:
            kept = answer if isinstance(answer, HoldConfirmed | HoldFailed) else None
            self._remember(request, kept)
        if self._queues.get(sku):
            self._ready.append(sku)
        else:
            self._queues.pop(sku, None)
        self._start()
        if not self._busy:
            self._idle.set()

    def _remember(self, request: FluentRequest, answer: HoldConfirmed | HoldFailed | None) -> None:
        reservation = (request.promotion_id, request.sku)
        self._known[reservation] = _Known(request.number, answer)
        self._known.move_to_end(reservation)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def _count_queued(self, change: int) -> None:
        self._queued += change
        self.meters.requests_queued = self._queued

    async def drain(self) -> None:
        """Waits until nothing is queued or in flight."""
        await self._idle.wait()

    def forget(self) -> None:
        """Drops what is queued, as when the partitions were taken away; what is in flight ends by itself."""
        for queue in self._queues.values():
            for entry in queue.values():
                entry.done()
        self._queues.clear()
        self._ready.clear()
        self._count_queued(-self._queued)

    async def close(self, grace_s: float = 10.0) -> None:
        """Takes and begins nothing more; what is in flight gets `grace_s` seconds, then it is cut off."""
        self._closed = True
        self.forget()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self._progress is not None:
            self._progress.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._progress

    async def _show_progress(self) -> None:
        """A line every few seconds while there is work."""
        while self._busy:
            before = self._answered
            await asyncio.sleep(PROGRESS_S)
            log.info(
                "fluent_progress",
                answered=self._answered,
                per_second=round((self._answered - before) / PROGRESS_S, 1),
                queued=self._queued,
                in_flight=len(self._busy),
                breaker=self.meters.breaker,
                rate_share=round(self.meters.rate_share, 2),
            )
        self._progress = None
