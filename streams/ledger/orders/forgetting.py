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


def shelve(turn: OrderTurn, forget_at_ms: int) -> None:
    """Remember that the order may be forgotten in the minute after `forget_at_ms`."""
    rows = turn.rows
    page = rows.get(OPEN_PAGE, b"")
    if page is None or not 0 < page.due_ms - forget_at_ms <= MINUTE_MS or len(page.keys) >= PAGE_KEYS:
        page = _next_page(turn, page, forget_at_ms - forget_at_ms % MINUTE_MS + MINUTE_MS)
    page.keys.append(turn.key)
    rows.put(OPEN_PAGE, b"", page)


def _next_page(turn: Turn, page: OpenPage | None, due_ms: int) -> OpenPage:
    number = 0
    if page is not None:
        number = page.number + 1
        if page.keys:
            turn.rows.put(PAGES, _page_key(page.number), Page(page.keys))
    BY_WATERMARK.set(turn.rows, due_ms, PAGE, _page_key(number))
    return OpenPage(number, due_ms, [])


def _page_key(number: int) -> bytes:
    return number.to_bytes(8, "big")


def forget_page(turn: Turn, subject: bytes, budget: int) -> tuple[int, bool]:
    """Forget the orders of a page that may go. Returns (effects used, whether the page is finished).

    It is not finished when the budget did not suffice; doing it again does what is left.
    """
    rows = turn.rows
    opened = rows.get(OPEN_PAGE, b"")
    is_open = opened is not None and _page_key(opened.number) == subject
    page = rows.get(PAGES, subject)
    keys = opened.keys if opened is not None and is_open else page.keys if page is not None else []
    used = 1
    for key in keys:
        more, finished = forget_order(turn, key, budget - used)
        used += more
        if not finished:
            return used, False
    if opened is not None and is_open:
        rows.put(OPEN_PAGE, b"", OpenPage(opened.number + 1, 0, []))
    rows.delete(PAGES, subject)
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
