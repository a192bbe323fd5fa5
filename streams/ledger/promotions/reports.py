"""Reconciliation reports: what adds up, per SKU and in total, beside what Fluent holds.

All pages of a report are made in one command, so that they show one moment. docs/reports.md explains them.
"""

from __future__ import annotations

import msgspec

from schemas.drift import REMEDIES
from schemas.structs import FluentFigures, ReconciliationReport, ReportLine, ReportTotals
from schemas.times import iso_utc
from schemas.topics import RECONCILIATION_REPORTS
from streams.ledger.fluent_requests import reservation_ref
from streams.ledger.promotions.publishing import PAGE_LINES
from streams.ledger.promotions.state import LINES, Line, Totals, lines_of
from streams.ledger.promotions.turn import PromotionTurn, reported
from streams.ledger.reservations.state import ACTIVE, PENDING

_json = msgspec.json.Encoder().encode

TOLD_WITHIN_MS = 2_000
"""The ledgers tell of a change within a second, and a Tick may come a moment late."""

REPORT_IT = "report it with the lines of the FINAL report: reserved is not consumed + released"
REPAIR_IT = "the drift of each SKU in the report says what to do; flashsale reconcile compares and repairs"

_Lines = list[tuple[str, Line]]


def publish_report(turn: PromotionTurn) -> None:
    """Publish what stands now: a FINAL report once every line is closed, an INTERIM one before."""
    promotion, generated_at = turn.row, iso_utc(_shown_ms(turn))
    lines = _lines(turn)
    if promotion.all_closed:
        promotion.final_revision += 1
        kind, revision = "FINAL", promotion.final_revision
        _notice_final(turn, lines)
    else:
        promotion.interim_revision += 1
        kind, revision = "INTERIM", promotion.interim_revision
    totals = _totals(promotion.totals)
    parts = [lines[at : at + PAGE_LINES] for at in range(0, len(lines), PAGE_LINES)]
    for page, part in enumerate(parts, start=1):
        report = ReconciliationReport(
            turn.promotion_id,
            kind,
            promotion.status,
            totals,
            page,
            len(parts),
            revision,
            generated_at,
            lines=[_report_line(turn.promotion_id, sku, line) for sku, line in part],
        )
        if promotion.overdue:
            report.waiting_for = [sku for sku, line in part if not line.closed]
            for shown, (_, line) in zip(report.lines, part, strict=True):
                if not line.closed:
                    shown.waits_for = _waits_for(line, turn.now_ms)
        turn.send(RECONCILIATION_REPORTS, turn.key, _json(report))
    reported(turn)


def _shown_ms(turn: PromotionTurn) -> int:
    """The moment that the figures show: that of the newest. Where none came for long, nothing has changed."""
    return min(turn.now_ms, max(turn.row.shown_at_ms, turn.now_ms - TOLD_WITHIN_MS))


def _lines(turn: PromotionTurn) -> _Lines:
    """(sku, line) of all lines that were sent, in the event's order."""
    start, end = lines_of(turn.key)
    found = turn.rows.scan(LINES, start, end, turn.row.line_count)
    lines = [(line_key[len(start) :].decode(), line) for line_key, line in found]
    lines.sort(key=_index)
    return lines


def _index(pair: tuple[str, Line]) -> int:
    return pair[1].index


def _report_line(promotion_id: str, sku: str, line: Line) -> ReportLine:
    figures = line.figures
    fluent = FluentFigures(reservation_ref(promotion_id, sku), figures.fluent_status or "NONE", figures.held)
    if figures.checked_at_ms:
        fluent.checked_at = iso_utc(figures.checked_at_ms)
    report_line = ReportLine(
        sku,
        figures.reserved,
        figures.consumed,
        figures.cancelled,
        figures.released,
        figures.rejected_units,
        figures.rejected_orders,
        fluent,
        figures.drift_units,
    )
    if figures.drift_kind is not None and figures.drift_units:
        report_line.drift_kind = figures.drift_kind
        report_line.drift_action = REMEDIES[figures.drift_kind]
    return report_line


def _waits_for(line: Line, now_ms: int) -> str:
    """What has to happen before a line whose time is over is closed."""
    if line.figures.state == PENDING:
        return "HOLD"
    if line.figures.state == ACTIVE:
        return "BACKLOG"
    return "BOOKING" if now_ms < line.figures.of_age_at_ms else "RELEASE"


def _totals(totals: Totals) -> ReportTotals:
    return ReportTotals(
        totals.reserved,
        totals.consumed,
        totals.cancelled,
        totals.released,
        totals.rejected_units,
        totals.rejected_orders,
        totals.drift_units,
    )


def _notice_final(turn: PromotionTurn, lines: _Lines) -> None:
    promotion, totals = turn.row, turn.row.totals
    drifting = sum(1 for _, line in lines if line.figures.drift_units)
    unbalanced = [sku for sku, line in lines if not _balanced(line)]
    fields: dict[str, str | int] = {
        "revision": promotion.final_revision,
        "status": promotion.status,
        "reserved": totals.reserved,
        "consumed": totals.consumed,
        "released": totals.released,
        "skus_with_drift": drifting,
    }
    if unbalanced:
        fields["unbalanced_skus"] = ", ".join(unbalanced[:10])
    if unbalanced or drifting:
        fields["recommendation"] = REPORT_IT if unbalanced else REPAIR_IT
    level = "error" if unbalanced else "warning" if drifting else "info"
    turn.notify(level, "promotion_closed", **fields)


def _balanced(line: Line) -> bool:
    figures = line.figures
    return figures.reserved == figures.consumed + figures.released
