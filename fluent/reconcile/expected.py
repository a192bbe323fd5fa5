"""What should be held: a report's lines, made exact by what the ledger last asked of Fluent.

A report shows what Fluent last confirmed, and is up to an interval old. The ledger's newest request in
`fluent-requests` says what the hold has to be, to the unit; the hold request, what a lost hold was made of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from schemas.drift import DriftKind
from schemas.reports import ReconciliationReport, ReportLine
from streams.ledger.fluent_requests import (
    AnyRequest,
    FluentRequest,
    HoldRequest,
    ReleaseRequest,
    SettleRequest,
    VerifyPage,
    VerifyRequest,
    reservation_ref,
)

OVER = ("CLOSED", "REJECTED")
"""Statuses of a report in which every line is closed."""

AFTER_THE_CLOSE = (DriftKind.ORPHAN_HOLD, DriftKind.LATE_ACTIVATION, DriftKind.RELEASE_REFUSED)
"""Kinds of drift that only a closed reservation has."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The newest request of one reservation, when it was first made (ms), and its hold request."""

    newest: FluentRequest
    at_ms: int
    hold: HoldRequest | None


@dataclass(slots=True)
class AskedBook:
    """Collects the requests of one promotion, in any order; a higher number supersedes a lower one."""

    promotion_id: str
    by_sku: dict[str, Asked] = field(default_factory=dict)

    def take(self, request: AnyRequest, at_ms: int) -> None:
        """One record of `fluent-requests` with its timestamp; other promotions' are passed over."""
        if isinstance(request, VerifyPage):
            for line in request.lines:
                self.take(line, at_ms)
            return
        if request.promotion_id != self.promotion_id:
            return
        known = self.by_sku.get(request.sku)
        hold = request if isinstance(request, HoldRequest) else known.hold if known else None
        newest, since_ms = request, at_ms
        if known is not None and known.newest.number >= request.number:
            newest, since_ms = known.newest, known.at_ms
        self.by_sku[request.sku] = Asked(newest, since_ms, hold)


@dataclass(frozen=True, slots=True)
class Expectation:
    """One SKU's hold as it should be in Fluent, in units."""

    promotion_id: str
    sku: str
    ref: str
    """The stem of the hold's refs."""
    held: int | None
    """What should be held; None while that is changing, `in_motion` then says why."""
    reserved: int = 0
    closed: bool = False
    seen_ended: bool = False
    """Fluent has confirmed the end of the hold: what is live now came later."""
    in_motion: str = ""
    sold: int | None = None
    """What SALE bookings should take; None where others book."""
    hold: HoldRequest | None = None
    number: int = 0
    """Of the ledger's newest request; 0 where none is kept."""
    asked_at_ms: int = 0
    reported_drift: int = 0
    """As the report has it."""


def expectations(report: ReconciliationReport, asked: Mapping[str, Asked]) -> list[Expectation]:
    """One for each line of the report, in its order, then one for each SKU that only the requests know."""
    lines: dict[str, ReportLine | None] = {line.sku: line for line in report.lines}
    others: Iterable[str] = sorted(sku for sku in asked if sku not in lines)
    return [_expectation(report, sku, lines.get(sku), asked.get(sku)) for sku in [*lines, *others]]


def _expectation(
    report: ReconciliationReport, sku: str, line: ReportLine | None, asked: Asked | None
) -> Expectation:
    newest = asked.newest if asked else None
    refused = report.status == "ACTIVE" and line is not None and _was_refused(line, newest)
    closed = report.status in OVER or refused or _is_over(line, newest)
    held, in_motion = (0, "") if closed else _open(line, newest)
    return Expectation(
        report.promotion_id,
        sku,
        reservation_ref(report.promotion_id, sku),
        held,
        reserved=_reserved(line, asked),
        closed=closed,
        seen_ended=line is not None and line.fluent.status == "INACTIVE",
        in_motion=in_motion,
        sold=_sold(newest),
        hold=asked.hold if asked else None,
        number=newest.number if newest else 0,
        asked_at_ms=asked.at_ms if asked else 0,
        reported_drift=line.drift if line else 0,
    )


def _is_over(line: ReportLine | None, newest: FluentRequest | None) -> bool:
    """Whether the reservation is closed, and its hold ended as far as the ledger could bring that about."""
    if isinstance(newest, VerifyRequest):
        return newest.closed
    if isinstance(newest, ReleaseRequest):
        return line is not None and (
            line.fluent.status == "INACTIVE" or line.drift_kind is DriftKind.RELEASE_REFUSED
        )
    return newest is None and line is not None and _was_closed(line)


def _was_refused(line: ReportLine, newest: FluentRequest | None) -> bool:
    """In an ACTIVE promotion every SKU has its answer: one that asked and has nothing was refused."""
    return line.reserved == 0 and isinstance(newest, HoldRequest | None)


def _was_closed(line: ReportLine) -> bool:
    return line.released > 0 or line.drift_kind in AFTER_THE_CLOSE


def _open(line: ReportLine | None, newest: FluentRequest | None) -> tuple[int | None, str]:
    """What an open reservation should hold, and why that cannot be said where it cannot."""
    match newest:
        case SettleRequest():
            return newest.remaining, ""
        case VerifyRequest():
            return newest.held, ""
        case ReleaseRequest():
            return None, "being released"
        case HoldRequest() if line is not None and line.fluent.status != "NONE":
            return newest.quantity, ""
        case HoldRequest():
            return None, "not confirmed yet"
    return _as_reported(line)


def _as_reported(line: ReportLine | None) -> tuple[int | None, str]:
    """Without a request: what the report shows as held less its drift, which is what should be held.

    A report's drift has no sign, so of the two figures it may mean the one that the sales leave possible.
    """
    if line is None or line.fluent.status == "NONE":
        return None, "not confirmed yet"
    drift = 0 if line.drift_kind is DriftKind.DUPLICATE else line.drift
    held = (line.fluent.held - drift, line.fluent.held + drift)
    possible = [units for units in held if line.reserved - line.consumed <= units <= line.reserved]
    return min(line.reserved, max(0, (*possible, *held)[0])), ""


def _reserved(line: ReportLine | None, asked: Asked | None) -> int:
    if line is not None and line.reserved:
        return line.reserved
    return asked.hold.quantity if asked and asked.hold else 0


def _sold(newest: FluentRequest | None) -> int | None:
    if isinstance(newest, HoldRequest) or newest is None or not newest.book_sale:
        return None
    return newest.consumed
