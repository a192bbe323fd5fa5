"""What a Tick does: the deadlines of this partition that have passed, earliest first."""

from __future__ import annotations

from schemas.topics import ORDER_COMMANDS
from streams.ledger.commands import Continue, encode
from streams.ledger.effects import MAX_EFFECTS, Effects, Send
from streams.ledger.orders import forgetting, queue
from streams.ledger.orders.state import DEADLINES, GRACE, PAGE, UNIT_EFFECTS
from streams.ledger.rows import Rows

CONTINUE_DUE = "due"
MAX_DUE = 500


def act(rows: Rows, now_ms: int, effects: Effects) -> None:
    """Act on the deadlines up to `now_ms`; what exceeds the budget is left to a Continue."""
    spent = 0
    found = DEADLINES.due(rows, now_ms, MAX_DUE)
    for at_ms, kind, subject in found:
        if spent > MAX_EFFECTS - UNIT_EFFECTS:
            return _go_on(effects)
        used, done = _act(rows, kind, subject, now_ms, effects, spent)
        spent += used + 1
        if not done:
            return _go_on(effects)
        DEADLINES.clear(rows, at_ms, kind, subject)
    if len(found) == MAX_DUE:
        _go_on(effects)
    return None


def _act(
    rows: Rows, kind: bytes, subject: bytes, now_ms: int, effects: Effects, spent: int
) -> tuple[int, bool]:
    if kind == PAGE:
        return forgetting.page_due(rows, subject, now_ms, MAX_EFFECTS - spent)
    if kind == GRACE:
        return queue.resume(rows, subject, now_ms, effects, spent) - spent, True
    return forgetting.order_due(rows, subject, now_ms, MAX_EFFECTS - spent)


def _go_on(effects: Effects) -> None:
    again = encode(Continue(CONTINUE_DUE))
    effects.sends.append(Send(ORDER_COMMANDS, None, again, own=True))
