"""What a Tick does: the reports that are due, closings that take too long, ends whose start did not come."""

from __future__ import annotations

from streams.ledger.effects import MAX_EFFECTS
from streams.ledger.promotions.ends import give_up_waiting
from streams.ledger.promotions.reports import publish_report
from streams.ledger.promotions.state import BY_CLOCK, BY_WATERMARK, CLOSE_DUE, REPORT_DUE
from streams.ledger.promotions.turn import PromotionTurn, Work, await_close_by, clear_report, take
from streams.ledger.turn import Turn

_FIXED_COST = 8
"""Effects of one deadline beside a report's pages, rounded up."""

_MAX_DUE = MAX_EFFECTS // _FIXED_COST


def on_due(turn: Turn) -> None:
    """Act on the deadlines that have come, earliest first; what exceeds the budget is left to a Continue.

    A report counts with its lines: to read them is work, too.
    """
    unheard_of = BY_WATERMARK.due(turn.rows, turn.watermark_ms, _MAX_DUE)
    for at_ms, kind, subject in unheard_of:
        BY_WATERMARK.clear(turn.rows, at_ms, kind, subject)
        give_up_waiting(turn, subject)
    cost = _FIXED_COST * len(unheard_of)
    due = BY_CLOCK.due(turn.rows, turn.now_ms, _MAX_DUE - len(unheard_of))
    for at_ms, kind, subject in due:
        if cost >= MAX_EFFECTS:
            turn.go_on(Work.DUE)
            return
        BY_CLOCK.clear(turn.rows, at_ms, kind, subject)
        cost += _FIXED_COST + _act(turn, at_ms, kind, subject)
    if len(unheard_of) + len(due) == _MAX_DUE:
        turn.go_on(Work.DUE)


def _act(turn: Turn, at_ms: int, kind: bytes, subject: bytes) -> int:
    """Act on one deadline unless its subject has moved on; the number of lines that were read for it."""
    known = take(turn.rows, turn.effects, turn.now_ms, subject)
    if kind == REPORT_DUE and at_ms == known.row.report_due_ms:
        publish_report(known)
    elif kind == CLOSE_DUE and at_ms == known.row.close_due_ms:
        _closing_overdue(known)
    else:
        return 0
    known.finish()
    return known.row.line_count


def _closing_overdue(turn: PromotionTurn) -> None:
    promotion = turn.row
    promotion.close_due_ms = 0
    due_ms = promotion.of_age_at_ms + promotion.terms.close_timeout_ms
    if turn.now_ms < due_ms:
        await_close_by(turn, due_ms)
        return
    promotion.closing = promotion.overdue = True
    clear_report(turn)
    publish_report(turn)
    turn.notify(
        "error",
        "promotion_does_not_close",
        skus_waited_for=promotion.line_count - promotion.closed,
        since_seconds=promotion.terms.close_timeout_ms // 1000,
        recommendation=(
            "The report names the SKUs and what each waits for. Where that is Fluent, check that it can be "
            "reached (flashsale check); asking it goes on by itself. Where that is a backlog, the workers "
            "have to catch up: `backlog_waits` in their log names the partitions."
        ),
    )
