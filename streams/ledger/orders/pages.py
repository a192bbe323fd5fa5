"""Orders by the page: one deadline for up to `PAGE_KEYS` orders that are due at about the same time.

One deadline per order would double the rows of the hot path. The page that is being filled is kept in one
small hot row, a full page becomes a row of its own.
"""

from __future__ import annotations

import msgspec

from streams.ledger.deadlines import Deadlines
from streams.ledger.rows import Rows, Table
from streams.ledger.turn import Turn

PAGE_KEYS = 64


class Page(msgspec.Struct, array_like=True, gc=False):
    """Orders (keys) that are due together."""

    keys: list[bytes]


class OpenPage(msgspec.Struct, array_like=True, gc=False):
    """The page that is being filled: its number, when it is due (Unix ms), its orders."""

    number: int
    due_ms: int
    keys: list[bytes]


class Shelf:
    """Pages in two tables with these prefixes; each is due at a full `width_ms`, as one of `deadlines`."""

    __slots__ = ("_deadlines", "_kind", "_open", "_pages", "_width_ms")

    def __init__(
        self, pages: bytes, open_page: bytes, deadlines: Deadlines, kind: bytes, width_ms: int
    ) -> None:
        self._pages = Table(pages, Page)
        self._open = Table(open_page, OpenPage, hot=True)
        self._deadlines = deadlines
        self._kind = kind
        self._width_ms = width_ms

    def put(self, turn: Turn, key: bytes, at_ms: int) -> int:
        """Let an order be due within a width after `at_ms`. Returns the page's number."""
        rows = turn.rows
        page = rows.get(self._open, b"")
        width_ms = self._width_ms
        if page is None or not 0 < page.due_ms - at_ms <= width_ms or len(page.keys) >= PAGE_KEYS:
            page = self._next(turn, page, at_ms - at_ms % width_ms + width_ms)
        page.keys.append(key)
        rows.put(self._open, b"", page)
        return page.number

    def _next(self, turn: Turn, page: OpenPage | None, due_ms: int) -> OpenPage:
        number = 0
        if page is not None:
            number = page.number + 1
            if page.keys:
                turn.rows.put(self._pages, page_key(page.number), Page(page.keys))
        self._deadlines.set(turn.rows, due_ms, self._kind, page_key(number))
        return OpenPage(number, due_ms, [])

    def keys(self, rows: Rows, page: bytes) -> list[bytes]:
        """The orders of the page that a deadline names."""
        opened = self._opened(rows, page)
        full = rows.get(self._pages, page)
        return opened.keys if opened is not None else full.keys if full is not None else []

    def leave(self, rows: Rows, page: bytes, keys: list[bytes]) -> None:
        """What is still to be done of a page: none, and it is gone."""
        opened = self._opened(rows, page)
        if opened is not None:
            rows.put(self._open, b"", OpenPage(opened.number + 1, 0, []))
        if keys:
            rows.put(self._pages, page, Page(keys))
        else:
            rows.delete(self._pages, page)

    def _opened(self, rows: Rows, page: bytes) -> OpenPage | None:
        opened = rows.get(self._open, b"")
        return opened if opened is not None and page_key(opened.number) == page else None


def page_key(number: int) -> bytes:
    """A page's key, and what its deadline is about."""
    return number.to_bytes(8, "big")
