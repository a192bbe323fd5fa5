"""The queue of an order: what comes while something is under way is answered after it, in log order."""

from __future__ import annotations

from schemas.topics import ORDER_COMMANDS
from streams.ledger.commands import Continue, encode
from streams.ledger.effects import MAX_EFFECTS, Effects, Send
from streams.ledger.orders import cancelling
from streams.ledger.orders.publishing import answer
from streams.ledger.orders.state import (
    DEADLINES,
    GRACE,
    ORDERS,
    QUEUE,
    UNIT_EFFECTS,
    UNKNOWN,
    Order,
    Waiting,
    queue_key,
)
from streams.ledger.rows import Rows

CONTINUE_QUEUE = "queue"

BYTES_PER_EFFECT = 1_024
"""A long order's record counts for more than one effect, so that a command's bytes are bounded as well."""


def enqueue(rows: Rows, key: bytes, order: Order, event: Waiting) -> None:
    """Append an event. The first one that waits for an unknown order sets the deadline of its grace."""
    if order.state == UNKNOWN and not order.waiting:
        DEADLINES.set(rows, event.due_ms, GRACE, key)
    rows.put(QUEUE, queue_key(key, order.queue_tail), event)
    order.queue_tail += 1


def drain(rows: Rows, key: bytes, order: Order, now_ms: int, effects: Effects, spent: int = 0) -> int:
    """Answer queued events in order until one is under way, must wait, or the budget is used.

    Changes `order`, which the caller puts. Returns the effects used, `spent` included.
    """
    while order.queue_head != order.queue_tail and order.resting:
        if spent > MAX_EFFECTS - UNIT_EFFECTS:
            again = encode(Continue(CONTINUE_QUEUE, key))
            effects.sends.append(Send(ORDER_COMMANDS, key, again, own=True))
            return spent + 1
        number = queue_key(key, order.queue_head)
        event = rows.get(QUEUE, number)
        if event is not None and order.state == UNKNOWN and event.due_ms > now_ms:
            DEADLINES.set(rows, event.due_ms, GRACE, key)
            return spent + 1
        rows.delete(QUEUE, number)
        order.queue_head += 1
        if event is not None:
            spent += _answer(rows, key, order, event, now_ms, effects)
    return spent


def _answer(rows: Rows, key: bytes, order: Order, event: Waiting, now_ms: int, effects: Effects) -> int:
    sent = len(effects.sends)
    if not event.is_cancel:
        answer(key, order, event.source, effects)
    elif order.state == UNKNOWN:
        cancelling.withhold(rows, key, order, event, now_ms, effects)
    else:
        cancelling.begin(rows, key, order, event, now_ms, effects)
    return len(effects.sends) - sent + len(event.lines) + 1 + len(order.outcome) // BYTES_PER_EFFECT


def resume(rows: Rows, key: bytes, now_ms: int, effects: Effects, spent: int = 0) -> int:
    """Go on with an order's queue, if it is known and nothing is under way. Returns the effects used."""
    order = rows.get(ORDERS, key)
    if not isinstance(order, Order) or not order.resting or not order.waiting:
        return spent
    spent = drain(rows, key, order, now_ms, effects, spent)
    rows.put(ORDERS, key, order)
    return spent + 1
