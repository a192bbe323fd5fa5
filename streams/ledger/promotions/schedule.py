"""When a promotion reports: the two deadlines in its row, and how changes move them.

While a line is open, a change makes an INTERIM report due, one interval after the last report. When the last
line closes, the FINAL report is due after the grace for late claims. What still changes after it makes the
next revision due, again at most one per interval. Closing that takes too long is a deadline of its own.
"""

from __future__ import annotations

from streams.ledger.promotions.rows import CLOSE_DUE, DEADLINES, REPORT_DUE, Promotion
from streams.ledger.rows import Rows

DRIFT_SHARE = 6
"""Reports of drift come at most so many times in an interval."""


def begin_closing(rows: Rows, key: bytes, promotion: Promotion, now_ms: int) -> None:
    """The promotion ended or began to expire: from now on its holds should be gone in time."""
    if promotion.closing:
        return
    promotion.closing = True
    if not promotion.all_closed:
        _await_close(rows, key, promotion, now_ms)


def note_change(rows: Rows, key: bytes, promotion: Promotion, now_ms: int) -> None:
    """Something that a report shows has changed: see to it that one will be made."""
    if promotion.all_closed and promotion.closed_at_ms == 0:
        _last_line_closed(rows, key, promotion, now_ms)
        return
    if promotion.closed_at_ms and not promotion.all_closed:
        _opened_again(rows, key, promotion, now_ms)
    _report_unless_due(rows, key, promotion, now_ms)


def hurry(rows: Rows, key: bytes, promotion: Promotion, now_ms: int) -> None:
    """Drift was found or is gone: while the promotion is open, a report of it does not wait long."""
    if promotion.all_closed:
        return
    due_ms = max(now_ms, promotion.reported_at_ms + promotion.terms.report_interval_ms // DRIFT_SHARE)
    if promotion.report_due_ms == 0 or due_ms < promotion.report_due_ms:
        clear_report(rows, key, promotion)
        _set_report(rows, key, promotion, due_ms)


def reported(promotion: Promotion, now_ms: int) -> None:
    """A report was made that shows everything up to now."""
    promotion.report_due_ms = 0
    promotion.reported_at_ms = now_ms


def clear_report(rows: Rows, key: bytes, promotion: Promotion) -> None:
    """Drop the report that is due; another one says it all."""
    if promotion.report_due_ms:
        DEADLINES.clear(rows, promotion.report_due_ms, REPORT_DUE, key)
        promotion.report_due_ms = 0


def _last_line_closed(rows: Rows, key: bytes, promotion: Promotion, now_ms: int) -> None:
    promotion.closed_at_ms = now_ms
    promotion.overdue = False
    if promotion.close_due_ms:
        DEADLINES.clear(rows, promotion.close_due_ms, CLOSE_DUE, key)
        promotion.close_due_ms = 0
    clear_report(rows, key, promotion)
    due_ms = now_ms + promotion.terms.claim_grace_ms
    if promotion.final_revision:
        due_ms = max(due_ms, promotion.reported_at_ms + promotion.terms.report_interval_ms)
    _set_report(rows, key, promotion, due_ms)


def _opened_again(rows: Rows, key: bytes, promotion: Promotion, now_ms: int) -> None:
    """A refused line's ledger still had a hold to release, and said so a moment after the refusal."""
    promotion.closed_at_ms = 0
    clear_report(rows, key, promotion)
    if promotion.closing:
        _await_close(rows, key, promotion, now_ms)


def _await_close(rows: Rows, key: bytes, promotion: Promotion, now_ms: int) -> None:
    promotion.close_due_ms = now_ms + promotion.terms.close_timeout_ms
    DEADLINES.set(rows, promotion.close_due_ms, CLOSE_DUE, key)


def _report_unless_due(rows: Rows, key: bytes, promotion: Promotion, now_ms: int) -> None:
    if promotion.report_due_ms == 0:
        due_ms = max(now_ms, promotion.reported_at_ms + promotion.terms.report_interval_ms)
        _set_report(rows, key, promotion, due_ms)


def _set_report(rows: Rows, key: bytes, promotion: Promotion, due_ms: int) -> None:
    promotion.report_due_ms = due_ms
    DEADLINES.set(rows, due_ms, REPORT_DUE, key)
