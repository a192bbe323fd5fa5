"""Forgetting: an order goes `retention_ms` after its last change, together with its cancels.

One deadline per order would double the rows of the hot path. Orders are shelved in pages instead: the
open page collects up to `PAGE_KEYS` orders that may go in the same minute; one deadline stands for all
of them. It is kept in one small hot row, a full page becomes a row of its own. An order is shelved once,
with its first outcome; one that has changed since gets a deadline of its own when its page is due.
"""

from __future__ import annotations

import msgspec

from streams.ledger.effects import MAX_EFFECTS
from streams.ledger.orders.state import (
    CANCELS,
    DEADLINES,
    FORGET,
    ORDERS,
    PAGE,
    WITHHELD,
    Handed,
    Order,
    sub_key,
)
from streams.ledger.rows import R, Rows, Table

PAGE_KEYS = 64
MINUTE_MS = 60_000


class Page(msgspec.Struct, array_like=True, gc=False):
    """Orders (keys) that may be forgotten at the same time."""

    keys: list[bytes]


class OpenPage(msgspec.Struct, array_like=True, gc=False):
    """The page that is being filled: its number, when it is due (a full minute, Unix ms), its orders."""

    number: int
    due_ms: int
    keys: list[bytes]


PAGES = Table(b"OF", Page)
OPEN_PAGE = Table(b"OH", OpenPage, hot=True)


def shelve(rows: Rows, key: bytes, forget_at_ms: int) -> None:
    """Remember that the order may be forgotten in the minute after `forget_at_ms`."""
    page = rows.get(OPEN_PAGE, b"")
    if page is None or not 0 < page.due_ms - forget_at_ms <= MINUTE_MS or len(page.keys) >= PAGE_KEYS:
        page = _turn(rows, page, forget_at_ms - forget_at_ms % MINUTE_MS + MINUTE_MS)
    page.keys.append(key)
    rows.put(OPEN_PAGE, b"", page)


def _turn(rows: Rows, page: OpenPage | None, due_ms: int) -> OpenPage:
    number = 0
    if page is not None:
        number = page.number + 1
        if page.keys:
            rows.put(PAGES, _number(page.number), Page(page.keys))
    DEADLINES.set(rows, due_ms, PAGE, _number(number))
    return OpenPage(number, due_ms, [])


def _number(number: int) -> bytes:
    return number.to_bytes(8, "big")


def page_due(rows: Rows, subject: bytes, now_ms: int, budget: int) -> tuple[int, bool]:
    """Forget the orders of a page that may go. Returns (effects spent, whether the page is done).

    It is not done when the budget did not suffice; doing it again does the rest.
    """
    opened = rows.get(OPEN_PAGE, b"")
    is_open = opened is not None and _number(opened.number) == subject
    page = rows.get(PAGES, subject)
    keys = opened.keys if opened is not None and is_open else page.keys if page is not None else []
    spent = 1
    for key in keys:
        used, done = order_due(rows, key, now_ms, budget - spent)
        spent += used
        if not done:
            return spent, False
    if opened is not None and is_open:
        rows.put(OPEN_PAGE, b"", OpenPage(opened.number + 1, 0, []))
    rows.delete(PAGES, subject)
    return spent, True


def order_due(rows: Rows, key: bytes, now_ms: int, budget: int) -> tuple[int, bool]:
    """Forget an order, or set a deadline of its own if it is too early. Returns (effects, done)."""
    order = rows.get(ORDERS, key)
    if order is None:
        return 0, True
    if isinstance(order, Handed):
        forget_at_ms = order.handed_at_ms + order.retention_ms
    elif order.resting and not order.waiting:
        forget_at_ms = order.changed_at_ms + order.retention_ms
    else:
        forget_at_ms = now_ms + max(order.retention_ms, MINUTE_MS)
    if forget_at_ms > now_ms:
        DEADLINES.set(rows, forget_at_ms, FORGET, key)
        return 1, True
    return _forget(rows, key, order, budget)


def _forget(rows: Rows, key: bytes, order: Order | Handed, budget: int) -> tuple[int, bool]:
    spent = 1
    if isinstance(order, Order) and order.cancels:
        spent += _clear(rows, CANCELS, key, budget - spent)
        spent += _clear(rows, WITHHELD, key, budget - spent)
        if spent >= budget:
            return spent, False
    rows.delete(ORDERS, key)
    return spent, True


def _clear(rows: Rows, table: Table[R], key: bytes, limit: int) -> int:
    """Delete up to `limit` of the order's rows in a table; returns how many."""
    found = rows.scan(table, sub_key(key, b""), key + b"\1", max(0, min(limit, MAX_EFFECTS)))
    for sub, _ in found:
        rows.delete(table, sub)
    return len(found)
