"""Reconciliation reports: what adds up, per SKU and in total, beside what Fluent holds.

All pages of a report are made in one command, so that they show one moment. docs/reports.md explains them.
"""

from __future__ import annotations

import msgspec

from schemas.drift import REMEDIES
from schemas.structs import FluentFigures, ReconciliationReport, ReportLine, ReportTotals
from schemas.topics import RECONCILIATION_REPORTS
from streams.ledger.effects import Effects, Notice, Send, iso_utc
from streams.ledger.fluent_requests import reservation_ref
from streams.ledger.promotions.results import PAGE_LINES
from streams.ledger.promotions.rows import LINES, Line, Promotion, Totals, lines_of
from streams.ledger.promotions.schedule import reported
from streams.ledger.rows import Rows

_json = msgspec.json.Encoder().encode


_Lines = list[tuple[str, Line]]


def publish_report(rows: Rows, key: bytes, promotion: Promotion, now_ms: int, effects: Effects) -> None:
    """Publish what stands now: a FINAL report once every line is closed, an INTERIM one before."""
    lines = _lines(rows, key, promotion)
    if promotion.all_closed:
        promotion.final_revision += 1
        kind, revision = "FINAL", promotion.final_revision
        _notice_final(key, promotion, lines, effects)
    else:
        promotion.interim_revision += 1
        kind, revision = "INTERIM", promotion.interim_revision
    totals = _totals(promotion.totals)
    parts = [lines[at : at + PAGE_LINES] for at in range(0, len(lines), PAGE_LINES)]
    for page, part in enumerate(parts, start=1):
        report = ReconciliationReport(
            key.decode(),
            kind,
            promotion.status,
            totals,
            page,
            len(parts),
            revision,
            iso_utc(now_ms),
            lines=[_report_line(key.decode(), sku, line) for sku, line in part],
        )
        if promotion.overdue:
            report.waiting_for = [sku for sku, line in part if not line.closed]
        effects.sends.append(Send(RECONCILIATION_REPORTS, key, _json(report)))
    reported(promotion, now_ms)


def _lines(rows: Rows, key: bytes, promotion: Promotion) -> _Lines:
    """(sku, line) of all lines that were sent, in the event's order."""
    start, end = lines_of(key)
    found = rows.scan(LINES, start, end, promotion.line_count)
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
    if figures.drift_kind is not None:
        report_line.drift_kind = figures.drift_kind
        report_line.drift_action = REMEDIES[figures.drift_kind]
    return report_line


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


def _notice_final(key: bytes, promotion: Promotion, lines: _Lines, effects: Effects) -> None:
    drifting = sum(1 for _, line in lines if line.figures.drift_units)
    unbalanced = [sku for sku, line in lines if not _balanced(line)]
    totals = promotion.totals
    fields: dict[str, str | int] = {
        "promotion": key.decode(),
        "revision": promotion.final_revision,
        "status": promotion.status,
        "reserved": totals.reserved,
        "consumed": totals.consumed,
        "released": totals.released,
        "skus_with_drift": drifting,
    }
    if unbalanced:
        fields["unbalanced_skus"] = ", ".join(unbalanced[:10])
    level = "error" if unbalanced else "warning" if drifting else "info"
    effects.notices.append(Notice(level, "promotion closed", fields))


def _balanced(line: Line) -> bool:
    figures = line.figures
    return figures.reserved == figures.consumed + figures.released
