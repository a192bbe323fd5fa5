"""The promotions stage: decides about starts and ends, and reports.

A start becomes one Reserve per SKU, an end one End per SKU. What the ledgers answer becomes results and
reports. `decide` is a function of the rows, the command and the time that the log gives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streams.ledger.commands import Continue, LineFigures, LineReserved, PromotionCommand, Tick
from streams.ledger.effects import Effects
from streams.ledger.inputs import EndPromotion, StartPromotion
from streams.ledger.promotions.ends import end, send_ends
from streams.ledger.promotions.lines import line_figures, line_reserved
from streams.ledger.promotions.results import answer_waiting_repeats
from streams.ledger.promotions.rows import DEADLINES, PROMOTIONS
from streams.ledger.promotions.starts import continue_start, start
from streams.ledger.promotions.ticks import tick
from streams.ledger.rows import Rows

__all__ = ["decide", "earliest_deadline_ms"]


def decide(
    rows: Rows, command: PromotionCommand | StartPromotion | EndPromotion, now_ms: int, effects: Effects
) -> None:
    """Decide one record of promotion-commands: change `rows`, collect what follows in `effects`."""
    _HANDLERS[type(command)](rows, command, now_ms, effects)


def earliest_deadline_ms(rows: Rows) -> int | None:
    """When the next Tick is needed, or None."""
    return DEADLINES.earliest_ms(rows)


def _tick(rows: Rows, _command: Tick, now_ms: int, effects: Effects) -> None:
    tick(rows, now_ms, effects)


def _go_on(rows: Rows, command: Continue, now_ms: int, effects: Effects) -> None:
    if command.kind == "due":
        tick(rows, now_ms, effects)
        return
    key = command.subject.partition(b"\0")[0]
    promotion = rows.get(PROMOTIONS, key)
    if promotion is None:
        return
    if command.kind == "reserve":
        continue_start(rows, key, promotion, now_ms, effects)
    elif command.kind == "end":
        send_ends(rows, key, command.subject, effects)
    elif command.kind == "repeats":
        answer_waiting_repeats(rows, key, promotion, effects)
        rows.put(PROMOTIONS, key, promotion)


_HANDLERS: dict[type, Callable[[Rows, Any, int, Effects], None]] = {
    Tick: _tick,
    Continue: _go_on,
    LineReserved: line_reserved,
    LineFigures: line_figures,
    StartPromotion: start,
    EndPromotion: end,
}
