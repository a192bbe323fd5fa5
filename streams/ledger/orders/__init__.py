"""Orders: every question about one order, decided in that order's log.

An order, identified by (ref, promotion), is one row. It is bounded by the 500 lines that an order may
have and does not grow afterwards, so a repeat or a cancel costs the same at the first and the millionth
order; what may be many per order (cancels, waiting events) is a row each.

    (none) ──PlaceOrder──► DECIDING ──last LineDecided──► DECIDED ──CancelOrder──► CANCELLING ─┐
     │ │                      │                            ▲ ▲ ▲                               │
     │ │                      └─ all-or-nothing, refused ─► COMPENSATING                       │
     │ │                                                   │ ▲   last LineCancelled ───────────┘
     │ └──CancelOrder──► UNKNOWN ──PlaceOrder──► DECIDING ─│─┘
     └──PlaceOrder of one SKU──► HANDED ──repeat, CancelOrder──► RECALLING ──LineRecalled──► DECIDED

Each order does one thing at a time: what comes while it is DECIDING, COMPENSATING, CANCELLING or RECALLING
waits in the order's queue and is answered afterwards, in log order. Each event is answered by exactly one
record: an outcome, the newest outcome once more (a repeat), or a dead letter (a conflict).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from schemas.topics import ORDER_COMMANDS
from streams.ledger.commands import (
    Continue,
    LineCancelled,
    LineDecided,
    LineRecalled,
    OrderCommand,
    Tick,
    order_key,
)
from streams.ledger.effects import Effects
from streams.ledger.inputs import CancelOrder, PlaceOrder
from streams.ledger.orders import events
from streams.ledger.orders.state import BY_CLOCK, BY_WATERMARK, ORDERS, UNHEARD_OF, Handed
from streams.ledger.orders.ticks import on_due
from streams.ledger.orders.turn import OrderTurn, Work
from streams.ledger.rows import Rows
from streams.ledger.turn import Turn

__all__ = ["decide", "earliest_deadline_ms", "next_watermark_deadline_ms"]


def decide(
    rows: Rows, command: OrderCommand | PlaceOrder | CancelOrder, now_ms: int, effects: Effects
) -> None:
    """Apply one command of the order log: change `rows`, collect the records to send in `effects`.

    A function of (rows, command, now_ms) alone. Answers for orders that are not known, or that are not
    waited for any more, change nothing.
    """
    about: Any = command
    handle = _HANDLERS.get(type(command))
    if handle is None:
        _go_on(Turn(rows, effects, now_ms, ORDER_COMMANDS), about)
    else:
        # `take`, spelled out: every order comes this way.
        key = order_key(about.order_ref, about.promotion_id)
        row = rows.get(ORDERS, key)
        if row is None:
            row = UNHEARD_OF
        elif isinstance(row, Handed):
            row = row.as_order()
        handle(OrderTurn(rows, effects, now_ms, ORDER_COMMANDS, key, row), command)


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
    elif command.kind == Work.QUEUE:
        events.resume(turn, command.subject)


_HANDLERS: Mapping[type, Callable[[OrderTurn, Any], None]] = {
    PlaceOrder: events.on_place,
    CancelOrder: events.on_cancel,
    LineDecided: events.on_line_decided,
    LineCancelled: events.on_line_cancelled,
    LineRecalled: events.on_line_recalled,
}
