"""What a Tick does: act on the deadlines of this partition that the watermark has passed, earliest first."""

from __future__ import annotations

from streams.ledger.effects import MAX_EFFECTS
from streams.ledger.orders.events import resume
from streams.ledger.orders.forgetting import forget_order, forget_page
from streams.ledger.orders.state import BY_CLOCK, BY_WATERMARK, GRACE, PAGE, UNDECIDED, UNIT_EFFECTS
from streams.ledger.orders.turn import Work
from streams.ledger.orders.undecided import look_after
from streams.ledger.turn import Turn

MAX_DUE = 500

ONCE = 4
"""Effects of a command, however many deadlines it acts on: the watermark, two open pages, the Continue."""


def on_due(turn: Turn) -> None:
    """Act on the deadlines that have come; what exceeds the budget is left to a Continue."""
    spent = ONCE
    by_watermark = BY_WATERMARK.due(turn.rows, turn.watermark_ms, MAX_DUE)
    by_clock = BY_CLOCK.due(turn.rows, turn.now_ms, MAX_DUE - len(by_watermark))
    found = [(BY_WATERMARK, *due) for due in by_watermark] + [(BY_CLOCK, *due) for due in by_clock]
    for deadlines, at_ms, kind, subject in found:
        used, finished = 0, False
        if spent <= MAX_EFFECTS - UNIT_EFFECTS:
            used, finished = _act(turn, kind, subject, spent)
        if not finished:
            turn.go_on(Work.DUE)
            return
        spent += used + 1
        deadlines.clear(turn.rows, at_ms, kind, subject)
    if len(found) == MAX_DUE:
        turn.go_on(Work.DUE)


def _act(turn: Turn, kind: bytes, subject: bytes, spent: int) -> tuple[int, bool]:
    """Act on one deadline. Returns (effects used, whether it is finished)."""
    if kind == PAGE:
        return forget_page(turn, subject, MAX_EFFECTS - spent)
    if kind == UNDECIDED:
        return look_after(turn, subject, MAX_EFFECTS - spent)
    if kind == GRACE:
        return resume(turn, subject, spent) - spent, True
    return forget_order(turn, subject, MAX_EFFECTS - spent)
