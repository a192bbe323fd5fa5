"""Connections as Fluent pages them: 10 records unless asked, at most 5,000, opaque cursors, no endCursor.

Source: Fluent's GraphQL documentation (values of first and last from 1 to 5,000, higher ones taken as 5,000).
"""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_left, bisect_right
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
    lower, upper = args.get("after"), args.get("before")
    start = 0 if lower is None else bisect_right(found, _seq_of(lower), key=lambda record: record.seq)
    end = len(found) if upper is None else bisect_left(found, _seq_of(upper), key=lambda record: record.seq)
    if args.get("last") is not None and args.get("first") is None:
        start = max(start, end - page_size(args["last"]))
    else:
        end = min(end, start + page_size(args.get("first")))
    return {
        "edges": [{"node": record, "cursor": cursor_of(record.seq)} for record in found[start:end]],
        "pageInfo": {"hasNextPage": end < len(found), "hasPreviousPage": start > 0},
    }
