"""One promotion as the page shows it: its SKUs, their sums, and what has changed since it was told last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

from bridge.sale.lines import (
    ACTIVE,
    CLOSED,
    CLOSING,
    FIGURES,
    OVER,
    PENDING,
    REJECTED,
    SUMMED,
    Line,
    figured,
    refused,
    reported,
    set_aside,
)
from schemas.structs import (
    NotReserved,
    PromotionResults,
    ReconciliationReport,
    ReportHead,
    Reserved,
    SaleFigures,
)
from schemas.unreadable import UNREADABLE

UNKNOWN = "UNKNOWN"

Page = tuple[str, int]
"""A page of a promotion's results or of its newest report: what it is of, and its number."""

RESULTS, REPORT = "results", "report"


class Figures(msgspec.Struct, rename="camel"):
    """How a promotion stands, in units except for `rejectedOrders`; `at` is when the newest of them held."""

    reserved: int
    consumed: int
    cancelled: int
    released: int
    rejected_units: int
    rejected_orders: int
    left: int
    at: str


class Sale:
    """What is known of a promotion. Pages are kept unread until `settle`: most are soon replaced."""

    def __init__(self, promotion_id: str) -> None:
        self.id = promotion_id
        self.lines: dict[str, Line] = {}
        self.sums: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()
        self.troubled = 0
        self.sold_out = 0
        self.head: ReportHead | None = None
        self.expires_at = ""
        self.checked_at = ""
        self.figures_at = ""
        """The moment of the newest figures."""
        self.is_late = False
        """Whether its time is over for long, and nothing has begun to close it."""
        self.told_ms = 0
        """When anything was published about it last, in Unix milliseconds."""
        self._changed: set[str] = set()
        self._head_changed = False
        self._has_results = False
        self._unread: dict[Page, bytes] = {}

    @property
    def is_known(self) -> bool:
        """Whether anything is known of it."""
        return bool(self.lines) or self.head is not None or bool(self._unread)

    @property
    def status(self) -> str:
        """A promotion's status as reports have it, from what its SKUs' figures say where they say it."""
        if not self.lines or self.statuses[""]:
            return self.head.status if self.head is not None else UNKNOWN
        if self.statuses[REJECTED] == len(self.lines):
            # Until every SKU is decided, others may not have been told of yet.
            return REJECTED if self._has_results or self.head is not None else PENDING
        if sum(self.statuses[each] for each in OVER) == len(self.lines):
            return CLOSED
        if self.statuses[CLOSING] or self.statuses[CLOSED]:
            return CLOSING
        return PENDING if self.statuses[PENDING] else ACTIVE

    @property
    def is_over(self) -> bool:
        """Whether nothing is on sale or held."""
        return self.status in OVER

    @property
    def left(self) -> int:
        """Units that can still be sold."""
        return max(0, self.sums["reserved"] - self.sums["consumed"] - self.sums["released"])

    def figures(self) -> Figures | None:
        """The sums of its SKUs' figures, None before anything says how they sell and where it stands."""
        if not self.figures_at or self.status == UNKNOWN:
            return None
        sums: dict[str, Any] = {name: self.sums[name] for name in FIGURES}
        return Figures(**sums, left=self.left, at=self.figures_at)

    def changes(self) -> set[str] | None:
        """The SKUs that changed since the last call; None where nothing else did, either."""
        if not self._changed and not self._head_changed:
            return None
        changed, self._changed = self._changed, set()
        self._head_changed = False
        return changed

    def take_figures(self, told: SaleFigures) -> None:
        """Newer figures of a SKU."""
        self._expires(told.expires_at)
        self._put(figured(self._line(told.sku), told))

    def take_page(self, what: str, number: int, value: bytes) -> None:
        """A page of its results or of its newest report, to be read later."""
        self._unread[what, number] = value

    def take_head(self, head: ReportHead) -> None:
        """What the newest report says of the whole promotion."""
        self.head = head
        self._head_changed = True

    def look_at_clock(self, late_at: str) -> None:
        """A sale whose time was over before the moment `late_at` is late unless it closes or is over."""
        is_late = "" < self.expires_at < late_at and self.status in (PENDING, ACTIVE)
        if is_late != self.is_late:
            self.is_late = is_late
            self._head_changed = True

    def settle(self) -> None:
        """Read the pages that came. One that is not ours raises one of UNREADABLE; the others are read."""
        unread, self._unread = sorted(self._unread.items(), reverse=True), {}
        failure: Exception | None = None
        for (what, _), value in unread:
            try:
                self._read_results(value) if what == RESULTS else self._read_report(value)
            except UNREADABLE as error:
                failure = error
        if failure is not None:
            raise failure

    def _read_results(self, value: bytes) -> None:
        self._has_results = True
        for raw in _decode_results(value).reservations:
            if _decode_success(raw).success:
                told = _decode_reserved(raw)
                self._expires(told.expires_at)
                self._put(set_aside(self._line(told.sku), told))
            else:
                refusal = _decode_refused(raw)
                self._put(refused(self._line(refusal.sku), refusal))

    def _read_report(self, value: bytes) -> None:
        report = _decode_report(value)
        is_over = report.status in OVER
        for told in report.lines:
            self._put(reported(self._line(told.sku), told, report.generated_at, is_over=is_over))

    def _line(self, sku: str) -> Line:
        return self.lines.get(sku) or Line(sku)

    def _put(self, line: Line) -> None:
        """Keep a line, and everything that is counted over all lines in step."""
        before = self.lines.get(line.sku)
        if line == before:
            return
        if before is not None:
            self._count(before, -1)
        self._count(line, 1)
        self.lines[line.sku] = line
        self._changed.add(line.sku)
        self.checked_at = max(self.checked_at, line.checked_at)
        self.figures_at = max(self.figures_at, line.at)

    def _count(self, line: Line, sign: int) -> None:
        for name in SUMMED:
            self.sums[name] += sign * getattr(line, name)
        self.statuses[line.status] += sign
        self.waits[line.waits_for] += sign
        self.troubled += sign * bool(line.problem)
        self.sold_out += sign * line.is_sold_out

    def _expires(self, at: str) -> None:
        if at and at != self.expires_at:
            self.expires_at = at
            self._head_changed = True


class _Success(msgspec.Struct):
    success: bool


_Read = TypeVar("_Read")


def _reader(of: type[_Read]) -> Callable[[bytes | msgspec.Raw], _Read]:
    return msgspec.json.Decoder(of).decode


_decode_results = _reader(PromotionResults)
_decode_report = _reader(ReconciliationReport)
_decode_success = _reader(_Success)
_decode_reserved = _reader(Reserved)
_decode_refused = _reader(NotReserved)


def lines_of(sale: Sale, skus: Iterable[str]) -> list[Line]:
    """The lines of these SKUs, in the order in which the SKUs became known."""
    wanted = set(skus)
    return [line for sku, line in sale.lines.items() if sku in wanted]
