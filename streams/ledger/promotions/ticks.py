"""Time has passed: the reports that are due, closings that take too long, ends whose start did not come."""

from __future__ import annotations

from schemas.topics import PROMOTION_COMMANDS
from streams.ledger.commands import Continue, encode
from streams.ledger.effects import MAX_EFFECTS, Effects, Notice, Send
from streams.ledger.promotions.ends import give_up_waiting
from streams.ledger.promotions.reports import publish_report
from streams.ledger.promotions.rows import CLOSE_DUE, DEADLINES, END_DUE, PROMOTIONS, REPORT_DUE, Promotion
from streams.ledger.promotions.schedule import clear_report
from streams.ledger.rows import Rows

_FIXED_COST = 8
"""Effects of one deadline beside a report's pages, rounded up."""

_MAX_DEADLINES = MAX_EFFECTS // _FIXED_COST

_OWN_KEY = b""


def tick(rows: Rows, now_ms: int, effects: Effects) -> None:
    """Act on what is due, earliest first. A report counts with its lines: to read them is work, too."""
    cost = 0
    due = DEADLINES.due(rows, now_ms, _MAX_DEADLINES)
    for at_ms, kind, subject in due:
        if cost >= MAX_EFFECTS:
            _go_on(effects)
            return
        DEADLINES.clear(rows, at_ms, kind, subject)
        cost += _FIXED_COST + _act(rows, at_ms, kind, subject, now_ms, effects)
    if len(due) == _MAX_DEADLINES:
        _go_on(effects)


def _go_on(effects: Effects) -> None:
    effects.sends.append(Send(PROMOTION_COMMANDS, _OWN_KEY, encode(Continue("due")), own=True))


def _act(rows: Rows, at_ms: int, kind: bytes, subject: bytes, now_ms: int, effects: Effects) -> int:
    """Act on one deadline unless its subject has moved on; the number of lines that were read for it."""
    if kind == END_DUE:
        give_up_waiting(rows, subject, now_ms, effects)
        return 0
    promotion = rows.get(PROMOTIONS, subject)
    if promotion is None:
        return 0
    if kind == REPORT_DUE and at_ms == promotion.report_due_ms:
        publish_report(rows, subject, promotion, now_ms, effects)
    elif kind == CLOSE_DUE and at_ms == promotion.close_due_ms:
        _closing_overdue(rows, subject, promotion, now_ms, effects)
    else:
        return 0
    rows.put(PROMOTIONS, subject, promotion)
    return promotion.line_count


def _closing_overdue(rows: Rows, key: bytes, promotion: Promotion, now_ms: int, effects: Effects) -> None:
    promotion.close_due_ms = 0
    promotion.overdue = True
    clear_report(rows, key, promotion)
    publish_report(rows, key, promotion, now_ms, effects)
    open_lines = promotion.line_count - promotion.closed
    fields: dict[str, str | int] = {
        "promotion": key.decode(),
        "skus_waited_for": open_lines,
        "since_seconds": promotion.terms.close_timeout_ms // 1000,
        "recommendation": (
            "Check that Fluent can be reached (flashsale check); "
            "the report names the SKUs, and asking Fluent goes on by itself."
        ),
    }
    effects.notices.append(Notice("error", "promotion does not close", fields))
