"""The promotions as the topics tell them: started, set aside, the newest report, and figures since then."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from flashsale.standing import status_of
from schemas.status import PromotionStatus, SkuStatus
from schemas.structs import (
    NotReserved,
    PromotionResults,
    ReconciliationReport,
    ReportHead,
    ReportLine,
    Reserved,
    SaleFigures,
)
from schemas.times import milliseconds

OPEN = ("PENDING", "ACTIVE", "CLOSING")


@dataclass
class Promotion:
    """What is known of one promotion. Times are Unix milliseconds."""

    id: str
    started_at_ms: int | None = None
    wanted: int = 0
    """SKUs that its start names, as far as that was read."""
    reserved: dict[str, Reserved] = field(default_factory=dict)
    refused: dict[str, NotReserved] = field(default_factory=dict)
    first_told_ms: int = 0
    last_told_ms: int = 0
    """When its results were published first, and anything about it last."""
    head: ReportHead | None = None
    newer: dict[str, SaleFigures] = field(default_factory=dict)
    """Figures of SKUs that have changed since the newest report was made."""
    _pages: dict[tuple[str, int], dict[int, ReconciliationReport]] = field(default_factory=dict)
    _newest: list[ReconciliationReport] = field(default_factory=list)

    @property
    def status(self) -> str:
        """As the newest report says; before it as figures and results do."""
        if self.head is not None:
            return self.head.status
        if self.newer:
            return status_of({figures.status for figures in self.newer.values()})
        if not self.reserved and not self.refused:
            return "PENDING"
        return "ACTIVE" if self.reserved else "REJECTED"

    @property
    def is_known(self) -> bool:
        """Whether a start, results or a report of it were read."""
        return self.started_at_ms is not None or self.first_told_ms > 0 or self.head is not None

    @property
    def is_open(self) -> bool:
        """Whether anything is on sale or held."""
        return self.status in OPEN

    @property
    def expires_at_ms(self) -> int | None:
        """The deadline, once anything is set aside."""
        first = next(iter(self.reserved.values()), None)
        return None if first is None else milliseconds(first.expires_at)

    @property
    def began_ms(self) -> int:
        """Nothing was published about it before; 0 where that is not known."""
        return min(filter(None, (self.started_at_ms, self.first_told_ms)), default=0)

    @property
    def waiting_for(self) -> dict[str, list[str]]:
        """SKUs that should be closed and are not, by what each waits for (`waitsFor` of its report)."""
        waiting: dict[str, list[str]] = {}
        if self.head is not None and self.head.status == "CLOSING":
            for line in self.report_lines():
                if isinstance(line.waits_for, str):
                    waiting.setdefault(line.waits_for, []).append(line.sku)
        return waiting

    def take_results(self, value: bytes, at_ms: int) -> None:
        """A page of its results. One that is not ours raises one of UNREADABLE, and changes nothing."""
        reserved, refused = {}, {}
        for raw in _decode_results(value).reservations:
            if _decode_success(raw).success:
                line = _decode_reserved(raw)
                milliseconds(line.expires_at)
                reserved[line.sku] = line
            else:
                refusal = _decode_refused(raw)
                refused[refusal.sku] = refusal
        self.reserved |= reserved
        self.refused |= refused
        self.first_told_ms = self.first_told_ms or at_ms
        self.last_told_ms = max(self.last_told_ms, at_ms)

    def take_report(self, page: ReconciliationReport, at_ms: int) -> None:
        """A page of a report; the report that was completed last is the newest.

        One that is not ours raises one of UNREADABLE, and changes nothing.
        """
        milliseconds(page.generated_at)
        pages = self._pages.setdefault((page.kind, page.revision), {})
        pages[page.page] = page
        if len(pages) == page.pages:
            del self._pages[page.kind, page.revision]
            self.head = page
            self._newest = [pages[number] for number in sorted(pages)]
            self.last_told_ms = max(self.last_told_ms, at_ms)

    def take_figures(self, figures: SaleFigures) -> None:
        """A record of `sale-figures`; the newest report shows what is older than itself.

        One that is not ours raises one of UNREADABLE, and changes nothing.
        """
        milliseconds(figures.at)
        if self.head is None or figures.at > self.head.generated_at:
            self.newer[figures.sku] = figures

    def report_lines(self) -> list[ReportLine]:
        """The lines of the newest report."""
        return [line for page in self._newest for line in page.lines]

    def shown(self, now_ms: int, *, with_lines: bool) -> PromotionStatus:
        """How it stands."""
        expires_at_ms = self.expires_at_ms
        left_s = None if expires_at_ms is None else max(0, (expires_at_ms - now_ms) // 1_000)
        return PromotionStatus(
            promotion_id=self.id,
            status=self.status,
            skus=len(self.reserved) + len(self.refused) or self.wanted,
            refused_skus=len(self.refused),
            expires_at=next((line.expires_at for line in self.reserved.values()), None),
            seconds_left=left_s if self.is_open else None,
            lines=self._lines() if with_lines else None,
            **self._totals(),
        )

    def _totals(self) -> dict[str, Any]:
        """The newest report's, and what has changed since."""
        if self.head is None and not self.newer:
            return {"reserved": sum(line.quantity for line in self.reserved.values())}
        totals = dict.fromkeys(FIGURES, 0) if self.head is None else _figures(self.head.totals)
        before = {line.sku: line for line in self.report_lines()} if self.newer else {}
        for sku, figures in self.newer.items():
            for name in FIGURES:
                totals[name] += getattr(figures, name) - getattr(before.get(sku), name, 0)
        times = [figures.at for figures in self.newer.values()]
        if self.head is not None:
            totals["drift"] = self.head.totals.drift
            times.append(self.head.generated_at)
        return totals | {"left": _left(totals), "figures_of": max(times)}

    def _lines(self) -> list[SkuStatus]:
        reasons = {sku: refusal.reason for sku, refusal in self.refused.items()}
        known: dict[str, dict[str, Any]] = {}
        if self.head is None:
            known = {sku: {"reserved": line.quantity} for sku, line in self.reserved.items()}
            known |= {sku: {"reserved": 0} for sku in reasons}
        for line in self.report_lines():
            known[line.sku] = _figures(line) | {"drift": line.drift}
        for sku, figures in self.newer.items():
            known[sku] = known.get(sku, {}) | _figures(figures)
        return [
            SkuStatus(
                sku=sku, reason=reasons.get(sku), **each, left=_left(each) if "consumed" in each else None
            )
            for sku, each in known.items()
        ]


FIGURES = ("reserved", "consumed", "cancelled", "released", "rejected_units", "rejected_orders")


def _figures(shown: Any) -> dict[str, Any]:
    return {name: getattr(shown, name) for name in FIGURES}


def _left(figures: dict[str, Any]) -> int:
    left: int = figures["reserved"] - figures["consumed"] - figures["released"]
    return max(0, left)


class _Success(msgspec.Struct):
    success: bool


_decode_success = msgspec.json.Decoder(_Success).decode
_decode_reserved = msgspec.json.Decoder(Reserved).decode
_decode_refused = msgspec.json.Decoder(NotReserved).decode
_decode_results = msgspec.json.Decoder(PromotionResults).decode
decode_report = msgspec.json.Decoder(ReconciliationReport).decode
decode_figures = msgspec.json.Decoder(SaleFigures).decode
