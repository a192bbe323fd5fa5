"""Requests that have not begun, and which of them goes next. No I/O, no clock.

What gives stock back or takes it goes first: a release before a hold before a settle before a verify, among
the requests of a SKU as among SKUs; of the same kind, the first to come is the first to go. Last of all goes
a page of verifies, which is of no SKU: it only reads, so none has to wait for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass

from streams.ledger.commands import SkuCommand
from streams.ledger.fluent_requests import (
    AnyRequest,
    HoldRequest,
    ReleaseRequest,
    SettleRequest,
    VerifyPage,
    VerifyRequest,
)

Reservation = tuple[str, str]
"""Promotion and SKU; for a page of verifies no promotion, and a name that is no SKU's."""

OnAnswer = Callable[[SkuCommand], None]
OnDone = Callable[[], None]

RANKS: Mapping[type[AnyRequest], int] = {
    ReleaseRequest: 0,
    HoldRequest: 1,
    SettleRequest: 2,
    VerifyRequest: 3,
    VerifyPage: 4,
}
"""The lowest goes first."""


@dataclass(slots=True, eq=False)
class Entry:
    """A request, and the callbacks for its answer and its end."""

    request: AnyRequest
    on_answer: OnAnswer
    on_done: OnDone | None
    waits_since: float | None = None
    """Since when it waits for another promotion's units (the gateway's clock), where it does."""

    @property
    def reservation(self) -> Reservation:
        """What it is about."""
        return reservation_of(self.request)

    @property
    def sku(self) -> str:
        """Of the requests about one SKU, only one is worked on at a time."""
        return self.reservation[1]

    @property
    def number(self) -> int:
        """The higher one is newer."""
        return number_of(self.request)

    @property
    def rank(self) -> int:
        """The lowest goes first."""
        return RANKS[type(self.request)]

    def done(self) -> None:
        """It needs nothing more."""
        if self.on_done is not None:
            self.on_done()


def reservation_of(request: AnyRequest) -> Reservation:
    """What a request is about: a page of the next round takes the place of the same page of this one."""
    if isinstance(request, VerifyPage):
        return "", f"\0{request.page}\0{request.lines[0].promotion_id}\0{request.sku}"
    return request.promotion_id, request.sku


def number_of(request: AnyRequest) -> int:
    """The higher one is newer, among the requests about the same."""
    if isinstance(request, VerifyPage):
        return request.lines[0].number if request.alone else request.round
    return request.number


class Backlog:
    """One place for each reservation; a SKU whose request is being worked on has to wait."""

    def __init__(self) -> None:
        self._by_sku: dict[str, dict[str, Entry]] = {}
        self._ready: list[deque[str]] = [deque() for _ in RANKS]
        """SKUs by the rank of their first request. One whose first request has changed is passed over."""
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def get(self, reservation: Reservation) -> Entry | None:
        """The reservation's request."""
        promotion_id, sku = reservation
        return self._by_sku.get(sku, {}).get(promotion_id)

    def put(self, entry: Entry) -> None:
        """Its reservation must have none."""
        promotion_id, sku = entry.reservation
        self._by_sku.setdefault(sku, {})[promotion_id] = entry
        self._count += 1
        self.free(sku)

    def take(self, reservation: Reservation) -> Entry | None:
        """Takes out the reservation's request, to put a newer one in its place."""
        entry = self._pop(reservation)
        self.free(reservation[1])
        return entry

    def free(self, sku: str) -> None:
        """The SKU may be worked on (again)."""
        if sku in self._by_sku:
            self._ready[self._first(sku).rank].append(sku)

    def next(self, busy: Container[str]) -> Entry | None:
        """Takes out what goes first of the SKUs that are not `busy`; its SKU waits until it is `free`."""
        for rank, ready in enumerate(self._ready):
            while ready:
                sku = ready.popleft()
                if sku in self._by_sku and sku not in busy and self._first(sku).rank == rank:
                    return self._pop(self._first(sku).reservation)
        return None

    def _pop(self, reservation: Reservation) -> Entry | None:
        promotion_id, sku = reservation
        of_sku = self._by_sku.get(sku, {})
        entry = of_sku.pop(promotion_id, None)
        if entry is not None:
            self._count -= 1
            if not of_sku:
                del self._by_sku[sku]
        return entry

    def clear(self) -> list[Entry]:
        """Everything, which is no longer in here."""
        dropped = [entry for of_sku in self._by_sku.values() for entry in of_sku.values()]
        self._by_sku.clear()
        for ready in self._ready:
            ready.clear()
        self._count = 0
        return dropped

    def _first(self, sku: str) -> Entry:
        return min(self._by_sku[sku].values(), key=lambda entry: entry.rank)
