"""The queue in front of the gateway: many SKUs at once, one request per SKU at a time."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from fluent.backlog import Backlog, Entry, OnAnswer, OnDone, Reservation, reservation_of
from fluent.check import warn_of_misfits
from fluent.errors import HeldByAnother
from fluent.gateway import Gateway
from fluent.meters import Meters
from streams.ledger.commands import HoldConfirmed, HoldFailed, SkuCommand
from streams.ledger.fluent_requests import AnyRequest, ReleaseRequest, VerifyPage, VerifyRequest
from streams.log import get_logger

log = get_logger("fluent")

REMEMBERED = 50_000
"""Reservations of which the newest number (and a hold's answer) is kept, so that an old repeat is not carried
out again."""
WAIT_S = 1.0
"""Until a hold that waits for another promotion's units is tried again."""
PROGRESS_S = 5.0


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
        self._backlog = Backlog()
        self._waiting: dict[Reservation, Entry] = {}
        """Holds that wait for another promotion's units."""
        self._busy: dict[str, Entry] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._known: OrderedDict[Reservation, _Known] = OrderedDict()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self._progress: asyncio.Task[None] | None = None
        self._answered = 0

    @property
    def meters(self) -> Meters:
        """What gateway and queue count."""
        return self.gateway.meters

    # --- taking in ----------------------------------------------------------------------------------

    def submit(self, request: AnyRequest, on_answer: OnAnswer, on_done: OnDone | None = None) -> bool:
        """Takes a request; False when the queue is full, and nothing was done with it. A release always fits.

        Pages of verifies may fill one half.

        `on_answer` gets the answer, if there is one; a page of verifies may have several. `on_done` is called
        once for each request that was taken: when it was answered, could not be, was superseded by a newer
        one, or repeats a waiting one. A closed queue does nothing with what it takes, and calls neither.
        """
        entry = Entry(request, on_answer, on_done)
        if self._closed:
            return True
        if self._is_old(entry):
            self.meters.dropped["repeated"] += 1
            entry.done()
            return True
        before = self._waiting.pop(entry.reservation, None) or self._backlog.take(entry.reservation)
        if before is not None:
            self.meters.dropped["superseded"] += 1
            before.done()
        elif self._queued >= self._room_for(request):
            self.meters.dropped["no room"] += 1
            return False
        self._backlog.put(entry)
        self._start()
        return True

    def _room_for(self, request: AnyRequest) -> float:
        """Beside how many others it may wait: pages of verifies leave room, for nothing waits for them."""
        if isinstance(request, ReleaseRequest):
            return math.inf
        return self._max_queued // 2 if isinstance(request, VerifyPage) else self._max_queued

    @property
    def _queued(self) -> int:
        return len(self._backlog) + len(self._waiting)

    def _is_old(self, entry: Entry) -> bool:
        """A repeat of what waits or is in flight, or outdated; an answered hold is answered again."""
        number, reservation = entry.number, entry.reservation
        busy = self._busy.get(entry.sku)
        same = [self._backlog.get(reservation), self._waiting.get(reservation)]
        same += [busy] if busy is not None and busy.reservation == reservation else []
        if any(other is not None and other.number >= number for other in same):
            return True
        known = self._known.get(reservation)
        if known is None or known.number < number:
            return False
        if known.number == number and known.answer is not None:
            self._tell(entry, (known.answer,))
            return True
        return known.number > number

    def _is_outdated(self, line: VerifyRequest) -> bool:
        """Whether a newer request of the line's reservation has come, or begun."""
        reservation = reservation_of(line)
        known = self._known.get(reservation)
        others = [self._backlog.get(reservation), self._waiting.get(reservation)]
        newest = max((other.number for other in others if other is not None), default=0)
        return max(newest, known.number if known is not None else 0) > line.number

    # --- carrying out -------------------------------------------------------------------------------

    def _start(self) -> None:
        if self._documents_unchecked:
            self._documents_unchecked = False
            self._keep(asyncio.create_task(self._check_documents()))
        while len(self._busy) < self._max_skus and not self._closed:
            entry = self._backlog.next(self._busy)
            if entry is None:
                break
            self._busy[entry.sku] = entry
            self._idle.clear()
            self._keep(asyncio.create_task(self._work(entry)))
        self._note()
        if self._progress is None and self._busy:
            self._progress = asyncio.create_task(self._show_progress())

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _check_documents(self) -> None:
        found = await warn_of_misfits(self.gateway.client, self.gateway.profile)
        self.meters.document_misfits = len(found)

    async def _work(self, entry: Entry) -> None:
        """Whatever a request raises, its SKU is free again afterwards, and it is done or waits."""
        answers: Sequence[SkuCommand] = ()
        waits = False
        self._remember(entry, None)
        try:
            answers = await self._ask(entry)
        except HeldByAnother as held:
            waits = True
            promotion, sku = entry.reservation
            log.info("fluent_hold_waits", promotion=promotion, sku=sku, why=str(held))
        finally:
            self._finish(entry, answers, waits=waits)

    async def _ask(self, entry: Entry) -> Sequence[SkuCommand]:
        request = entry.request
        if isinstance(request, VerifyPage):
            return await self.gateway.verify_page(request, self._is_outdated)
        answer = await self.gateway.handle(request, may_wait=self._may_wait(entry))
        return () if answer is None else (answer,)

    def _may_wait(self, entry: Entry) -> bool:
        if entry.waits_since is None:
            return True
        return self.gateway.client.clock() - entry.waits_since < self.gateway.options.hold_timeout_s

    def _finish(self, entry: Entry, answers: Sequence[SkuCommand], *, waits: bool) -> None:
        sku = entry.sku
        del self._busy[sku]
        for answer in answers:
            if isinstance(answer, HoldConfirmed | HoldFailed):
                self._remember(entry, answer)
        waits = waits and not self._closed and self._backlog.get(entry.reservation) is None
        if waits:
            self._wait(entry)
        self._backlog.free(sku)
        self._start()
        if not waits:
            self._answer(entry, answers)

    def _answer(self, entry: Entry, answers: Sequence[SkuCommand]) -> None:
        self._tell(entry, answers)
        entry.done()

    def _tell(self, entry: Entry, answers: Sequence[SkuCommand]) -> None:
        """What cannot be sent holds up nobody, and ends no worker: the ledger asks again."""
        try:
            for answer in answers:
                self._answered += 1
                entry.on_answer(answer)
        except Exception:
            log.exception(
                "fluent_answer_not_sent",
                request=type(entry.request).__name__,
                sku=entry.request.sku,
                recommendation="Nothing: the ledger asks again. Report it with the trace.",
            )

    def _wait(self, entry: Entry) -> None:
        """Other requests of the SKU go first: it is their units that are waited for."""
        entry.waits_since = entry.waits_since or self.gateway.client.clock()
        self._waiting[entry.reservation] = entry
        asyncio.get_running_loop().call_later(WAIT_S, self._try_again, entry)

    def _try_again(self, entry: Entry) -> None:
        if self._waiting.get(entry.reservation) is entry:
            del self._waiting[entry.reservation]
            self._backlog.put(entry)
            self._start()

    def _remember(self, entry: Entry, answer: HoldConfirmed | HoldFailed | None) -> None:
        """From its beginning on, older requests of the reservation are outdated."""
        self._known[entry.reservation] = _Known(entry.number, answer)
        self._known.move_to_end(entry.reservation)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    # --- coming to rest -----------------------------------------------------------------------------

    def _note(self) -> None:
        """Meters, and whether there is nothing to do."""
        self.meters.skus_in_flight = len(self._busy)
        self.meters.requests_queued = self._queued
        if not self._busy and not self._waiting:
            self._idle.set()

    async def drain(self) -> None:
        """Waits until nothing is queued or in flight."""
        await self._idle.wait()

    def forget(self) -> None:
        """Drops what is queued, as when the partitions were taken away; what is in flight ends by itself."""
        dropped = [*self._backlog.clear(), *self._waiting.values()]
        self._waiting.clear()
        self._note()
        for entry in dropped:
            entry.done()

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
