"""Rows after their commit: which stay in memory, what a deletion leaves, what a loss takes away."""

from __future__ import annotations

import msgspec
import pytest

from streams.ledger import rows as rows_module
from streams.ledger.rows import MemoryStore, Rows, Table


class Number(msgspec.Struct, array_like=True):
    """A row of these tests."""

    value: int


PLAIN = Table(b"aa", Number)
ORDERED = Table(b"bb", Number, ordered=True)
HOT = Table(b"cc", Number, hot=True)


def committed(*hot: int) -> Rows:
    """Rows in which these hot rows are committed."""
    rows = Rows(MemoryStore())
    for value in hot:
        rows.put(HOT, b"%02d" % value, Number(value))
    commit(rows)
    return rows


def commit(rows: Rows) -> None:
    """What was changed is in the store."""
    rows._store.write(rows.flush())
    rows.committed()


@pytest.mark.parametrize("read", [False, True])
def test_a_hot_row_that_is_deleted_is_gone_after_its_commit(read: bool) -> None:
    rows = committed(1)
    assert not read or rows.get(HOT, b"01") == Number(1)
    rows.delete(HOT, b"01")
    commit(rows)
    assert rows.get(HOT, b"01") is None


def test_a_hot_row_that_was_changed_in_place_and_not_committed_is_as_before_after_a_reset() -> None:
    rows = committed(1)
    row = rows.get(HOT, b"01")
    assert row is not None
    row.value = 2
    rows.put(HOT, b"01", row)
    rows.reset()
    assert rows.get(HOT, b"01") == Number(1)


def test_what_was_committed_last_can_be_read_beside_what_is_not_committed_yet() -> None:
    rows = committed(1)
    rows.put(HOT, b"01", Number(2))
    rows.put(HOT, b"02", Number(3))
    assert rows.get_committed(HOT, b"01") == Number(1)
    assert rows.get_committed(HOT, b"02") is None
    assert rows.get(HOT, b"01") == Number(2)


def test_a_hot_row_that_was_replaced_is_the_new_one_after_its_commit_and_stays_in_memory() -> None:
    rows = committed(1, 2)
    replaced, other = Number(7), rows.get(HOT, b"02")
    rows.put(HOT, b"01", replaced)
    commit(rows)
    assert rows.get(HOT, b"01") is replaced
    assert rows.get(HOT, b"02") is other


def test_a_row_that_is_not_hot_leaves_the_memory_with_its_commit() -> None:
    rows = committed()
    rows.put(PLAIN, b"01", Number(1))
    commit(rows)
    assert rows.get(PLAIN, b"01") is not rows.get(PLAIN, b"01")
    assert rows._hot == {}


@pytest.mark.parametrize("table", [PLAIN, ORDERED, HOT])
def test_a_stored_row_that_was_deleted_is_in_no_scan_before_its_commit_and_after_it(
    table: Table[Number],
) -> None:
    rows = committed()
    for key in (b"01", b"02", b"03"):
        rows.put(table, key, Number(1))
    commit(rows)
    rows.delete(table, b"02")
    assert [key for key, _ in rows.scan(table, b"", b"\xff", 10)] == [b"01", b"03"]
    commit(rows)
    assert [key for key, _ in rows.scan(table, b"", b"\xff", 10)] == [b"01", b"03"]


def test_what_was_flushed_and_is_lost_is_forgotten_by_a_reset() -> None:
    rows = committed(1)
    rows.put(HOT, b"01", Number(2))
    rows.put(ORDERED, b"02", Number(2))
    rows.flush()
    rows.reset()
    assert rows.get(HOT, b"01") == Number(1)
    assert rows.get(ORDERED, b"02") is None
    assert rows.scan(ORDERED, b"", b"\xff", 10) == []


def test_a_store_in_memory_has_each_key_once_and_in_order_whatever_was_written() -> None:
    store = MemoryStore()
    store.write({b"b": b"1", b"a": b"1", b"c": b"1"})
    store.write({b"b": b"2", b"c": None, b"d": None})
    store.write({b"c": b"3", b"a": b"3"})
    assert store.scan(b"", b"z", 10) == [(b"a", b"3"), (b"b", b"2"), (b"c", b"3")]


def test_only_so_many_hot_rows_are_kept_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "MAX_HOT_ROWS", 3)
    rows = committed(*range(8))
    for value in range(8):
        assert rows.get(HOT, b"%02d" % value) == Number(value)
        assert len(rows._hot) <= 3


def test_a_hot_row_is_decoded_once_and_stays() -> None:
    rows = committed(1)
    rows.reset()
    assert rows.get(HOT, b"01") is rows.get(HOT, b"01")
