"""The four things that can happen to an order: an event comes in, or the ledger answers."""

from __future__ import annotations

from streams.ledger.commands import CancelOrder, LineCancelled, LineDecided, PlaceOrder, order_key
from streams.ledger.effects import Effects
from streams.ledger.orders import cancelling, placing
from streams.ledger.orders.publishing import answer, conflict
from streams.ledger.orders.queue import drain, enqueue
from streams.ledger.orders.state import (
    CANCELLING,
    CANCELS,
    COMPENSATING,
    DECIDING,
    ORDERS,
    UNKNOWN,
    Order,
    Seen,
    Waiting,
    sub_key,
)
from streams.ledger.rows import Rows
from streams.ledger.terms import Source


def place(rows: Rows, command: PlaceOrder, now_ms: int, effects: Effects) -> None:
    """An order event: new, a repeat, or a conflict."""
    key = order_key(command.order_ref, command.promotion_id)
    order = rows.get(ORDERS, key)
    if order is None:
        order = Order(DECIDING, {}, 0)
    elif order.state == UNKNOWN:
        order.lines = placing.withheld_lines(rows, key, order, command)
    elif not placing.same_content(order, command):
        return conflict(command, f"order {command.order_ref}", now_ms, effects)
    else:
        return _repeat(rows, key, order, command.source, effects)
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
    if seen is not None and seen.digest != digest:
        what = f"cancellation {command.cancellation_ref} of order {command.order_ref}"
        return conflict(command, what, now_ms, effects)
    if seen is not None:
        return _repeat(rows, key, order, command.source, effects)
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


def _repeat(rows: Rows, key: bytes, order: Order, source: Source, effects: Effects) -> None:
    if order.resting and not order.waiting:
        answer(key, order, source, effects)
        return
    enqueue(rows, key, order, Waiting(source))
    rows.put(ORDERS, key, order)


def line_decided(rows: Rows, answered: LineDecided, now_ms: int, effects: Effects) -> None:
    """The ledger answers a Claim."""
    key = order_key(answered.order_ref, answered.promotion_id)
    order = rows.get(ORDERS, key)
    if order is None:
        return
    placing.collect(rows, key, order, answered, now_ms, effects)
    if order.queue_head != order.queue_tail:
        drain(rows, key, order, now_ms, effects)
    rows.put(ORDERS, key, order)


def line_cancelled(rows: Rows, answered: LineCancelled, now_ms: int, effects: Effects) -> None:
    """The ledger answers a Cancel; an answer to an earlier operation is not waited for any more."""
    key = order_key(answered.order_ref, answered.promotion_id)
    order = rows.get(ORDERS, key)
    if order is None or order.operation != answered.operation:
        return
    if order.state == COMPENSATING:
        placing.collect_compensation(rows, key, order, answered, now_ms, effects)
    elif order.state == CANCELLING:
        cancelling.collect(rows, key, order, answered, now_ms, effects)
    drain(rows, key, order, now_ms, effects)
    rows.put(ORDERS, key, order)
