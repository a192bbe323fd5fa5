"""Invariants about the changelog, the truth behind every worker's disk. Its rows are read by their layout."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec

from tests.audit.evidence import CHANGELOG, Subject
from tests.audit.sale import Sale

RESERVATION, CLAIM = b"RR", b"RC"
RESERVATION_LAYOUT = {"state": 0, "quantity": 2, "reserved": 3, "claimed": 4}
CLAIM_LAYOUT = {"quantity": 0, "reason": 1, "cancelled": 3}
"""Where a field is in its row, which is an array; a field beyond its end has its default."""

KEPT = {b"RR", b"RA", b"PP", b"PL", b"PA", b"PE", b"OH", b"OK", b"RT", b"RV", b"!p", b"!t", b"!w"}
"""Rows that stay: a promotion must not begin twice; the orders' open pages; attendance and newest round; the
positions, clocks and watermarks of the logs."""


def claimed_is_never_more_than_reserved(sale: Sale) -> Iterator[str]:
    """In every version of every reservation's row that the changelog still has."""
    for record in sale.records(CHANGELOG):
        if record.key is not None and record.key.startswith(RESERVATION) and record.value:
            row = _row(record.value)
            reserved, claimed, quantity = (_field(row, name) for name in ("reserved", "claimed", "quantity"))
            if not 0 <= claimed <= reserved <= quantity:
                yield f"at offset {record.offset} of {record.partition}: {_subject(record.key)} {row}"


def what_is_said_to_be_consumed_is_claimed(sale: Sale) -> Iterator[str]:
    """The outcomes make as many units of a SKU as its row says, and its claims that are left no more."""
    claimed: Counter[Subject] = Counter()
    kept: Counter[Subject] = Counter()
    for rows in _folded(sale).values():
        for key, value in rows.items():
            if key.startswith(RESERVATION):
                claimed[_subject(key)] = _field(_row(value), "claimed")
            elif key.startswith(CLAIM):
                kept[_subject(key)] += _held(_row(value))
    for subject in claimed.keys() | sale.sums.keys():
        consumed = sale.sums[subject].consumed
        if consumed != claimed[subject]:
            yield f"{consumed} units of {subject} are said to be sold, and {claimed[subject]} are claimed"
        if kept[subject] > claimed[subject]:
            yield f"the claims of {subject} have {kept[subject]} units, its row says {claimed[subject]}"


def the_changelog_folds_to_the_table(sale: Sale) -> Iterator[str]:
    """The last record of each key is the row that the worker has."""
    folded = _folded(sale)
    for partition, table in (sale.evidence.tables or {}).items():
        rows = folded.get(partition, {})
        for key in rows.keys() | table.keys():
            if rows.get(key) != table.get(key):
                yield f"{key!r} of {partition} is {table.get(key)!r}, the changelog says {rows.get(key)!r}"


def what_is_forgotten_leaves_no_rows(sale: Sale) -> Iterator[str]:
    """Only rows that are kept for ever are left."""
    for partition, rows in _folded(sale).items():
        left = Counter(key[:2] for key in rows if key[:2] not in KEPT)
        if left:
            yield f"rows of {partition} were never forgotten: {dict(left)}"


def _folded(sale: Sale) -> dict[int, dict[bytes, bytes]]:
    rows: dict[int, dict[bytes, bytes]] = defaultdict(dict)
    for record in sale.records(CHANGELOG):
        if record.value:
            rows[record.partition][record.key or b""] = record.value
        else:
            rows[record.partition].pop(record.key or b"", None)
    return rows


@cache
def _decoder() -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder()


def _row(value: bytes) -> list[Any]:
    row = _decoder().decode(value)
    assert isinstance(row, list)
    return row


def _field(row: list[Any], name: str) -> int:
    place = RESERVATION_LAYOUT[name]
    return int(row[place]) if place < len(row) else 0


def _held(row: list[Any]) -> int:
    quantity, reason = row[CLAIM_LAYOUT["quantity"]], row[CLAIM_LAYOUT["reason"]]
    place = CLAIM_LAYOUT["cancelled"]
    return 0 if reason else quantity - (row[place] if place < len(row) else 0)


def _subject(key: bytes) -> Subject:
    promotion, sku, *_ = key[2:].decode().split("\0")
    return promotion, sku
