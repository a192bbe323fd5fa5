"""Orders: every question about one order, decided in that order's log.

An order, identified by (ref, promotion), is one row. It is bounded by the 500 lines that an order may
have and does not grow afterwards, so a repeat or a cancel costs the same at the first and the millionth
order; what may be many per order (cancels, waiting events) is a row each.

    (none) ──PlaceOrder──► DECIDING ──last LineDecided──► DECIDED ──CancelOrder──► CANCELLING ─┐
      │                       │                              ▲ ▲                               │
      │                       └─ all-or-nothing, refused ─► COMPENSATING                       │
      │                                                      ▲   last LineCancelled ───────────┘
      └──CancelOrder──► UNKNOWN ──PlaceOrder──► DECIDING ────┘

Each order does one thing at a time: what comes while it is DECIDING, COMPENSATING or CANCELLING waits in
the order's queue and is answered afterwards, in log order. Each event is answered by exactly one record:
an outcome, the newest outcome once more (a repeat), or a dead letter (a conflict).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streams.ledger.commands import Continue, LineCancelled, LineDecided, LineRecalled, OrderCommand, Tick
from streams.ledger.effects import Effects
from streams.ledger.inputs import CancelOrder, PlaceOrder
from streams.ledger.orders import due, events, queue
from streams.ledger.orders.state import DEADLINES
from streams.ledger.rows import Rows

__all__ = ["decide", "earliest_deadline_ms"]


def _tick(rows: Rows, _command: Tick, now_ms: int, effects: Effects) -> None:
    due.act(rows, now_ms, effects)


def _continue(rows: Rows, command: Continue, now_ms: int, effects: Effects) -> None:
    if command.kind == queue.CONTINUE_QUEUE:
        queue.resume(rows, command.subject, now_ms, effects)
    elif command.kind == due.CONTINUE_DUE:
        due.act(rows, now_ms, effects)


_HANDLERS: dict[type, Callable[[Rows, Any, int, Effects], None]] = {
    PlaceOrder: events.place,
    LineDecided: events.line_decided,
    CancelOrder: events.cancel,
    LineCancelled: events.line_cancelled,
    LineRecalled: events.line_recalled,
    Tick: _tick,
    Continue: _continue,
}


def decide(
    rows: Rows, command: OrderCommand | PlaceOrder | CancelOrder, now_ms: int, effects: Effects
) -> None:
    """Apply one command of the order log: change `rows`, collect the records to send in `effects`.

    A function of (rows, command, now_ms) alone. Answers for orders that are not known, or that are not
    waited for any more, change nothing.
    """
    _HANDLERS[type(command)](rows, command, now_ms, effects)


def earliest_deadline_ms(rows: Rows) -> int | None:
    """When the next deadline of this partition's orders is due (Unix ms), or None."""
    return DEADLINES.earliest_ms(rows)
