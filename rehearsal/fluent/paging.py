"""Connections as Fluent pages them: 10 records unless asked, at most 5,000, opaque cursors, no endCursor.

Source: Fluent's GraphQL documentation (values of first and last from 1 to 5,000, higher ones taken as 5,000).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Any, Protocol, TypeVar

from rehearsal.fluent.errors import INVALID, FluentError

DEFAULT_RECORDS = 10
MAX_RECORDS = 5_000


class Sequenced(Protocol):
    @property
    def seq(self) -> int: ...


Record = TypeVar("Record", bound=Sequenced)


def cursor_of(seq: int) -> str:
    return base64.urlsafe_b64encode(b"cursor:%d" % seq).decode()


def _seq_of(cursor: str) -> int:
    try:
        prefix, _, seq = base64.urlsafe_b64decode(cursor.encode()).partition(b":")
        if prefix == b"cursor":
            return int(seq)
    except (binascii.Error, ValueError):
        pass
    raise FluentError(INVALID, f"{cursor!r} is not a cursor of this API")


def page_size(asked: int | None) -> int:
    if asked is None:
        return DEFAULT_RECORDS
    if asked < 1:
        raise FluentError(INVALID, f"first and last must be from 1 to {MAX_RECORDS}, got {asked}")
    return min(asked, MAX_RECORDS)


def connection(records: Iterable[Record], args: dict[str, Any]) -> dict[str, Any]:
    """One page of records that come in order of their seq, as edges and pageInfo.

    ``first``/``after`` pages forwards; ``last``/``before`` backwards, when there is no ``first``.
    """
    found = sorted(records, key=lambda record: record.seq)
    total = len(found)
    if args.get("after") is not None:
        lower = _seq_of(args["after"])
        found = [record for record in found if record.seq > lower]
    if args.get("before") is not None:
        upper = _seq_of(args["before"])
        found = [record for record in found if record.seq < upper]
    backwards = args.get("last") is not None and args.get("first") is None
    size = page_size(args.get("last" if backwards else "first"))
    page = found[-size:] if backwards else found[:size]
    after_page = len(found) > len(page) if not backwards else args.get("before") is not None
    before_page = (
        len(found) > len(page) if backwards else total > len(found) and args.get("after") is not None
    )
    return {
        "edges": [{"node": record, "cursor": cursor_of(record.seq)} for record in page],
        "pageInfo": {"hasNextPage": after_page, "hasPreviousPage": before_page},
    }
