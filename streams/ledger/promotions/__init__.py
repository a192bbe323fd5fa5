"""Promotions: decides about starts and ends, and reports.

A start becomes one Reserve per SKU, an end one End per SKU. What the ledgers answer becomes results and
reports.

    (none) ──start──► PENDING ──every SKU answered──► ACTIVE ──end, expiry──► CLOSING ──nothing held──► CLOSED
      │                 │  └───────────────── end, expiry ─────────────────────┘
      │                 └──every SKU refused──► REJECTED
      └──end──► remembered: a start that comes afterwards is answered ENDED for every SKU
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from schemas.topics import PROMOTION_COMMANDS
from streams.ledger.commands import (
    Continue,
    LineFigures,
    LineReserved,
    PromotionCommand,
    Tick,
)
from streams.ledger.effects import Effects
from streams.ledger.inputs import EndPromotion, StartPromotion
from streams.ledger.promotions.ends import on_end
from streams.ledger.promotions.lines import on_line_figures, on_line_reserved
from streams.ledger.promotions.publishing import answer_waiting_repeats
from streams.ledger.promotions.starts import on_start
from streams.ledger.promotions.state import BY_CLOCK, BY_WATERMARK
from streams.ledger.promotions.ticks import on_due
from streams.ledger.promotions.turn import PromotionTurn, Work, take
from streams.ledger.rows import Rows
from streams.ledger.turn import Turn

__all__ = ["decide", "earliest_deadline_ms", "next_watermark_deadline_ms"]


def decide(
    rows: Rows, command: PromotionCommand | StartPromotion | EndPromotion, now_ms: int, effects: Effects
) -> None:
    """Apply one command at `now_ms`: change `rows`, collect what follows in `effects`."""
    about: Any = command
    handle = _HANDLERS.get(type(command))
    if handle is None:
        _go_on(Turn(rows, effects, now_ms, PROMOTION_COMMANDS), about)
    else:
        handle(take(rows, effects, now_ms, about.promotion_id.encode()), command)


def earliest_deadline_ms(rows: Rows) -> int | None:
    """When the next Tick has something to do by the clock (Unix ms), or None."""
    return BY_CLOCK.earliest_ms(rows)


def next_watermark_deadline_ms(rows: Rows) -> int | None:
    """The earliest deadline (Unix ms) that waits for a Tick whose watermark has reached it, or None."""
    return BY_WATERMARK.earliest_ms(rows)


def _go_on(turn: Turn, command: Tick | Continue) -> None:
    """What is about the whole partition: time has passed, or some work goes on."""
    if isinstance(command, Tick):
        turn.take_in(command)
        on_due(turn)
    elif command.kind == Work.DUE:
        on_due(turn)
    elif command.kind == Work.REPEATS:
        known = take(turn.rows, turn.effects, turn.now_ms, command.subject)
        if known.row.known:
            answer_waiting_repeats(known)


_HANDLERS: Mapping[type, Callable[[PromotionTurn, Any], None]] = {
    StartPromotion: on_start,
    EndPromotion: on_end,
    LineReserved: on_line_reserved,
    LineFigures: on_line_figures,
}
