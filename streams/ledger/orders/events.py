"""The four things that can happen to an order: an event comes in, or the ledger answers."""

from __future__ import annotations

from streams.ledger.commands import LineCancelled, LineDecided, LineRecalled, order_key
from streams.ledger.effects import Effects
from streams.ledger.inputs import CancelOrder, PlaceOrder
from streams.ledger.orders import cancelling, placing, recalling
from streams.ledger.orders.publishing import answer, conflict
from streams.ledger.orders.queue import drain, enqueue
from streams.ledger.orders.state import (
    CANCELLING,
    CANCELS,
    COMPENSATING,
    DECIDING,
    ORDERS,
    UNKNOWN,
    Handed,
    Order,
    Seen,
    Waiting,
    sub_key,
)
from streams.ledger.rows import Rows


def place(rows: Rows, command: PlaceOrder, now_ms: int, effects: Effects) -> None:
    """An order event: new, a repeat, or a conflict."""
    key = order_key(command.order_ref, command.promotion_id)
    order = rows.get(ORDERS, key)
    if order is None:
        if len(command.lines) == 1:
            return recalling.hand_over(rows, key, command, now_ms, effects)
        order = Order(DECIDING, {}, 0)
    elif isinstance(order, Order) and order.state == UNKNOWN:
        order.lines = placing.withheld_lines(rows, key, order, command)
    elif not placing.same_content(order, command):
        return conflict(command, f"order {command.order_ref}", now_ms, effects)
    else:
        due_ms = now_ms + command.terms.claim_grace_ms
        repeat = Waiting(command.source, due_ms=due_ms, placed_at_ms=command.placed_at_ms)
        return _repeat(rows, key, order, repeat, effects)
    placing.claim(order, command, effects)
    if not order.pending:
        placing.conclude(rows, key, order, now_ms, effects)
        drain(rows, key, order, now_ms, effects)
    rows.put(ORDERS, key, order)
    return None


def cancel(rows: Rows, command: CancelOrder, now_ms: int, effects: Effects) -> None:
    """A cancel event: new, a repeat, or a conflict; of an order that is known or not."""
    key = order_key(command.order_ref, command.promotion_id)
    order = rows.get(ORDERS, key)
    digest = cancelling.content_digest(command.lines)
    seen_key = sub_key(key, cancelling.identity(command, digest))
    seen = None if order is None else rows.get(CANCELS, seen_key)
    if order is None:
        order = Order(UNKNOWN, {}, command.terms.retention_ms)
    elif isinstance(order, Handed):
        order = recalling.recall(key, order, effects)
    if seen is not None and seen.digest != digest:
        what = f"cancellation {command.cancellation_ref} of order {command.order_ref}"
        return conflict(command, what, now_ms, effects)
    if seen is not None:
        return _repeat(rows, key, order, Waiting(command.source), effects)
    rows.put(CANCELS, seen_key, Seen(digest))
    order.cancels += 1
    due_ms = now_ms + command.terms.claim_grace_ms
    event = Waiting(command.source, True, due_ms, command.cancellation_ref, command.lines)
    if order.state != UNKNOWN and order.resting and not order.waiting:
        cancelling.begin(rows, key, order, event, now_ms, effects)
    else:
        enqueue(rows, key, order, event)
    rows.put(ORDERS, key, order)
    return None


def _repeat(rows: Rows, key: bytes, order: Order | Handed, repeat: Waiting, effects: Effects) -> None:
    if isinstance(order, Handed):
        order = recalling.recall(key, order, effects)
    elif order.resting and not order.waiting:
        answer(key, order, repeat.source, effects)
        return
    enqueue(rows, key, order, repeat)
    rows.put(ORDERS, key, order)


def line_decided(rows: Rows, answered: LineDecided, now_ms: int, effects: Effects) -> None:
    """The ledger answers a Claim."""
    key = order_key(answered.order_ref, answered.promotion_id)
    order = rows.get(ORDERS, key)
    if not isinstance(order, Order):
        return
    placing.collect(rows, key, order, answered, now_ms, effects)
    if order.queue_head != order.queue_tail:
        drain(rows, key, order, now_ms, effects)
    rows.put(ORDERS, key, order)


def line_recalled(rows: Rows, answered: LineRecalled, now_ms: int, effects: Effects) -> None:
    """The ledger answers a Recall."""
    key = order_key(answered.order_ref, answered.promotion_id)
    order = rows.get(ORDERS, key)
    if isinstance(order, Order):
        recalling.recalled(rows, key, order, answered, now_ms, effects)


def line_cancelled(rows: Rows, answered: LineCancelled, now_ms: int, effects: Effects) -> None:
    """The ledger answers a Cancel; an answer to an earlier operation is not waited for any more."""
    key = order_key(answered.order_ref, answered.promotion_id)
    order = rows.get(ORDERS, key)
    if not isinstance(order, Order) or order.operation != answered.operation:
        return
    if order.state == COMPENSATING:
        placing.collect_compensation(rows, key, order, answered, now_ms, effects)
    elif order.state == CANCELLING:
        cancelling.collect(rows, key, order, answered, now_ms, effects)
    drain(rows, key, order, now_ms, effects)
    rows.put(ORDERS, key, order)
