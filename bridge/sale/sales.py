"""Every sale that the topics tell of, as long as somebody may want to look at it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from bridge.records import Arrival, read_page, read_report
from bridge.sale.lines import OVER
from bridge.sale.rates import SERVED, Rates
from bridge.sale.sale import REPORT, RESULTS, Sale
from schemas.structs import SaleFigures
from schemas.times import iso_utc
from schemas.topics import ORDER_OUTCOMES, PROMOTION_RESULTS, RECONCILIATION_REPORTS, SALE_FIGURES
from schemas.unreadable import UNREADABLE

HOUR_MS = 3_600_000

KEEP_MS = HOUR_MS
"""A sale that is over stays so long after the last thing that was published about it."""

SILENT_MS = 8 * 24 * HOUR_MS
"""The longest sale lasts seven days: one of which nothing was heard for so long is over, too."""

LATE_MS = 60_000
"""So long after its expiry a sale is being closed, unless orders of before still wait or no worker runs."""

MAX_SALES = 200
MAX_LINES = 100_000
"""Over all sales. Beyond either, the one of which nothing was heard for longest is forgotten."""

MAX_OVER = 10_000
"""So many of the sales that were forgotten since they are over are known by name."""

NEW_MS = 60_000
"""An answer younger than this counts for the current speed; others are read from the past."""


class Sales:
    """Takes in what is committed. In the event loop only; `settle` once a second makes it presentable."""

    def __init__(self) -> None:
        self._sales: dict[str, Sale] = {}
        self._rates: dict[str, Rates] = {}
        self._over: dict[str, None] = {}
        """Sales that were forgotten since they are over, the one that was forgotten last at the end."""
        self._now_ms = 0
        self._unreadable: list[Exception] = []
        """What could not be read, until `settle` tells."""
        self.gone: set[str] = set()
        """Sales that were forgotten since this was last emptied."""
        self.is_current = True
        """Whether what arrives is published just now, not read from the past."""

    def __iter__(self) -> Iterator[Sale]:
        """Those that are known."""
        return (sale for sale in self._sales.values() if sale.is_known)

    def sale(self, promotion_id: str) -> Sale:
        """What is known of a promotion, nothing as the case may be."""
        return self._sales.get(promotion_id) or Sale(promotion_id)

    def current(self, promotion_id: str) -> Sale:
        """The same with everything that has arrived: what `sale` shows is up to a second older."""
        sale = self.sale(promotion_id)
        self._settle(sale)
        return sale

    def rates(self, promotion_id: str) -> Rates:
        """How its orders were answered."""
        return self._rates.get(promotion_id) or Rates()

    def arrived(self, arrival: Arrival) -> None:
        """Take a record in. Raises one of UNREADABLE where it is not ours."""
        if arrival.topic == ORDER_OUTCOMES:
            self._count(arrival)
        elif arrival.topic == SALE_FIGURES:
            if arrival.value:
                self._take_figures(arrival)
        elif arrival.topic == PROMOTION_RESULTS:
            page = read_page(arrival.value)
            if page.promotion_id not in self._over:  # else its start was repeated, which changes nothing
                self._told(page.promotion_id, arrival).take_page(RESULTS, page.page, arrival.value)
        elif arrival.topic == RECONCILIATION_REPORTS:
            self._take_report(arrival)

    def begin(self) -> None:
        """The topics are read from their past once more: what is counted is counted anew."""
        self._rates.clear()
        self._over.clear()

    def settle(self, now_ms: int, *, is_caught_up: bool) -> list[Exception]:
        """Forget what is over, read what came; returns what could not be read.

        Before the topics' past is read nothing is: most of it is replaced or over soon.
        """
        self._now_ms = now_ms
        self._keep_within_bounds()
        return self._read(now_ms) if is_caught_up else []

    def _read(self, now_ms: int) -> list[Exception]:
        late_at = iso_utc(now_ms - LATE_MS)
        for sale in list(self._sales.values()):
            age_ms = now_ms - sale.told_ms
            if age_ms > SILENT_MS or (age_ms > KEEP_MS and sale.is_over):
                self._forget(sale)
                continue
            self._settle(sale)
            sale.look_at_clock(late_at)
        failures, self._unreadable = self._unreadable, []
        return failures

    def _settle(self, sale: Sale) -> None:
        try:
            sale.settle()
        except UNREADABLE as error:
            self._unreadable.append(error)

    def tick(self) -> set[str]:
        """A second is over; returns the promotions whose current speed is another one."""
        return {promotion_id for promotion_id, rates in self._rates.items() if rates.tick()}

    def _take_figures(self, arrival: Arrival) -> None:
        told = _decode_figures(arrival.value)
        if told.promotion_id in self._over and told.status in OVER:
            return  # of one SKU, for a late order or cancel: the report that follows has every SKU
        self._told(told.promotion_id, arrival).take_figures(told)

    def _take_report(self, arrival: Arrival) -> None:
        head = read_report(arrival.value)
        sale = self._told(head.promotion_id, arrival)
        sale.take_page(REPORT, head.page, arrival.value)
        if head.is_last_page:
            sale.take_head(head)

    def _count(self, arrival: Arrival) -> None:
        decided = _decode_decided(arrival.value)
        if decided.revision > 1 or decided.reason:
            return  # a cancel
        rates = self._rates.get(decided.promotion_id)
        if rates is None:
            rates = self._new_rates(decided.promotion_id)
        reason = next((line.reason for line in decided.consume_results if line.reason), SERVED)
        is_new = self.is_current and abs(self._now_ms - arrival.at_ms) < NEW_MS
        rates.count(arrival.at_ms, reason, is_new=is_new)

    def _new_rates(self, promotion_id: str) -> Rates:
        """Also of a promotion that is not known (yet): there are at most twice as many as sales."""
        if len(self._rates) >= 2 * MAX_SALES:
            unknown = next((each for each in self._rates if each not in self._sales), None)
            if unknown is not None:
                del self._rates[unknown]
            else:  # at a start more than MAX_SALES may become known between two seconds
                self._keep_within_bounds()
        return self._rates.setdefault(promotion_id, Rates())

    def _told(self, promotion_id: str, arrival: Arrival) -> Sale:
        sale = self._sales.get(promotion_id)
        if sale is None:
            sale = self._sales[promotion_id] = Sale(promotion_id)
            self.gone.discard(promotion_id)
            self._over.pop(promotion_id, None)
        sale.told_ms = max(sale.told_ms, arrival.at_ms)
        return sale

    def _keep_within_bounds(self) -> None:
        lines = sum(len(sale.lines) for sale in self._sales.values())
        for sale in sorted(self._sales.values(), key=lambda each: (not each.is_over, each.told_ms)):
            if len(self._sales) <= MAX_SALES and lines <= MAX_LINES:
                return
            lines -= len(sale.lines)
            self._forget(sale)

    def _forget(self, sale: Sale) -> None:
        del self._sales[sale.id]
        self._rates.pop(sale.id, None)
        self.gone.add(sale.id)
        if sale.is_over:
            self._over[sale.id] = None
            if len(self._over) > MAX_OVER:
                del self._over[next(iter(self._over))]


class _Line(msgspec.Struct, gc=False):
    reason: str = ""


class _Decided(msgspec.Struct, rename="camel", gc=False):
    """Of an outcome only what is counted."""

    promotion_id: str
    revision: int
    consume_results: list[_Line]
    reason: str = ""


_decode_decided = msgspec.json.Decoder(_Decided).decode
_decode_figures = msgspec.json.Decoder(SaleFigures).decode
