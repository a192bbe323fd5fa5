"""Forgetting: an order goes `retention_ms` after its last change, together with its cancels.

An order is shelved once, with its first outcome; one that has changed since gets a deadline of its own when
its page is due.
"""

from __future__ import annotations

from streams.ledger.effects import MAX_EFFECTS
from streams.ledger.orders.pages import Shelf
from streams.ledger.orders.state import (
    BY_WATERMARK,
    CANCELS,
    FORGET,
    HANDED,
    ORDERS,
    PAGE,
    UNHEARD_OF,
    WITHHELD,
    sub_key,
)
from streams.ledger.orders.turn import OrderTurn, take
from streams.ledger.rows import R, Table
from streams.ledger.turn import Turn

MINUTE_MS = 60_000

_SHELF = Shelf(b"OF", b"OH", BY_WATERMARK, PAGE, MINUTE_MS)


def shelve(turn: OrderTurn, forget_at_ms: int) -> None:
    """Remember that the order may be forgotten in the minute after `forget_at_ms`."""
    _SHELF.put(turn, turn.key, forget_at_ms)


def forget_page(turn: Turn, page: bytes, budget: int) -> tuple[int, bool]:
    """Forget the orders of a page that may go. Returns (effects used, whether the page is finished).

    It is not finished when the budget did not suffice; doing it again does what is left.
    """
    used = 1
    for key in _SHELF.keys(turn.rows, page):
        more, finished = forget_order(turn, key, budget - used)
        used += more
        if not finished:
            return used, False
    _SHELF.leave(turn.rows, page, [])
    return used, True


def forget_order(turn: Turn, key: bytes, budget: int) -> tuple[int, bool]:
    """Forget an order, or set a deadline of its own if it is too early. Returns (effects used, finished)."""
    order = take(turn.rows, turn.effects, turn.now_ms, key).row
    if order is UNHEARD_OF:
        return 0, True
    if order.state is HANDED or (order.resting and not order.waiting):
        forget_at_ms = order.changed_at_ms + order.retention_ms
    else:
        forget_at_ms = turn.now_ms + max(order.retention_ms, MINUTE_MS)
    if forget_at_ms > turn.watermark_ms:
        BY_WATERMARK.set(turn.rows, forget_at_ms, FORGET, key)
        return 1, True
    used = 1
    if order.cancels:
        used += _clear(turn, CANCELS, key, budget - used)
        used += _clear(turn, WITHHELD, key, budget - used)
        if used >= budget:
            return used, False
    turn.rows.delete(ORDERS, key)
    return used, True


def _clear(turn: Turn, table: Table[R], key: bytes, limit: int) -> int:
    """Delete up to `limit` of the order's rows in a table; returns how many."""
    found = turn.rows.scan(table, sub_key(key, b""), key + b"\1", max(0, min(limit, MAX_EFFECTS)))
    for sub, _ in found:
        turn.rows.delete(table, sub)
    return len(found)
