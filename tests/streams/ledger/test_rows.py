"""Rows over a store: what was decided and is not committed yet is seen, in order, and scans stay small."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from streams.ledger.deadlines import Deadlines
from streams.ledger.orders.state import CANCELS, Seen, sub_key
from streams.ledger.rows import MemoryStore, Rows, Table


class Number(msgspec.Struct, array_like=True):
    """A row of these tests."""

    value: int


PLAIN = Table(b"aa", Number)
ORDERED = Table(b"bb", Number, ordered=True)
HOT = Table(b"cc", Number, hot=True)
KEYS = st.integers(0, 12).map(lambda number: b"%02d" % number)


@given(st.data())
def test_what_is_read_is_what_a_table_without_transactions_would_hold(data: st.DataObject) -> None:
    store = MemoryStore()
    rows = Rows(store)
    model: dict[bytes, dict[bytes, int]] = {b"aa": {}, b"bb": {}, b"cc": {}}
    flushed: list[dict[bytes, bytes | None]] = []
    for step in range(data.draw(st.integers(1, 40))):
        table = data.draw(st.sampled_from((PLAIN, ORDERED, HOT)))
        match data.draw(st.sampled_from(("put", "put", "add", "delete", "flush", "commit", "get", "scan"))):
            case "put":
                key = data.draw(KEYS)
                rows.put(table, key, Number(step))
                model[table.prefix][key] = step
            case "add":
                key = data.draw(KEYS)
                row = rows.get(table, key) or Number(0)
                row.value += 1
                rows.put(table, key, row)
                model[table.prefix][key] = model[table.prefix].get(key, 0) + 1
            case "get":
                key = data.draw(KEYS)
                found_row = rows.get(table, key)
                assert (found_row and found_row.value) == model[table.prefix].get(key)
            case "delete":
                key = data.draw(KEYS)
                rows.delete(table, key)
                model[table.prefix].pop(key, None)
            case "flush":
                flushed.append(rows.flush())
            case "commit" if flushed:
                store.write(flushed.pop(0))
                rows.committed()
            case _:
                start, end = sorted((data.draw(KEYS), data.draw(KEYS)))
                limit = data.draw(st.integers(1, 5))
                found = [(key, row.value) for key, row in rows.scan(table, start, end, limit)]
                held = sorted(model[table.prefix].items())
                assert found == [(key, value) for key, value in held if start <= key < end][:limit]


class Watched(dict[bytes, msgspec.Struct | None]):
    """The overlay, which must not be walked through."""

    def __iter__(self) -> Iterator[bytes]:
        raise AssertionError("a scan walked through the uncommitted rows of all tables")


def test_the_cancels_of_an_order_are_found_without_walking_through_everything_uncommitted() -> None:
    """Seen: with 8,000 uncommitted rows, forgetting an order with cancels took 1.8 ms, a command 1.4 s."""
    rows = Rows(MemoryStore())
    rows.put(CANCELS, sub_key(b"ORD-1\0FLASH-1", b"RRMA-1"), Seen(b"digest"))
    rows._live = Watched(rows._live)
    assert len(rows.scan(CANCELS, sub_key(b"ORD-1\0FLASH-1", b""), b"ORD-1\0FLASH-1\1", 10)) == 1


class CountingStore(MemoryStore):
    """Counts the rows that scans read."""

    def __init__(self) -> None:
        super().__init__()
        self.read = 0

    def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        found = super().scan(start, end, limit)
        self.read += len(found)
        return found


def test_a_short_scan_does_not_read_as_many_stored_rows_as_there_are_new_ones() -> None:
    store = CountingStore()
    rows = Rows(store)
    for number in range(1_000):
        rows.put(ORDERED, b"%04d" % number, Number(number))
    store.write(rows.flush())
    rows.committed()
    for number in range(1_000, 2_000):
        rows.put(ORDERED, b"%04d" % number, Number(number))
    assert len(rows.scan(ORDERED, b"", b"\xff", 1)) == 1
    assert store.read == 1


class LookedAt(dict[bytes, msgspec.Struct | None]):
    """The overlay; counts the rows that are looked at."""

    looks = 0

    def __getitem__(self, key: bytes) -> msgspec.Struct | None:
        self.looks += 1
        return super().__getitem__(key)


class Many:
    """Rows with `stored` committed deadlines and as many uncommitted ones after them; counts what is read."""

    def __init__(self, stored: int) -> None:
        self.store = CountingStore()
        self.rows = Rows(self.store)
        self.deadlines = Deadlines(b"dd")
        self._set(range(stored))
        self.store.write(self.rows.flush())
        self.rows.committed()
        self._set(range(stored, 2 * stored))
        self._live = self.rows._live = LookedAt(self.rows._live)

    def _set(self, times: Iterable[int]) -> None:
        for at_ms in times:
            self.deadlines.set(self.rows, at_ms, b"w", b"subject")

    def clear(self, times: Iterable[int]) -> None:
        for at_ms in times:
            self.deadlines.clear(self.rows, at_ms, b"w", b"subject")

    def reads(self) -> int:
        """Rows that were read since the last call, stored and uncommitted."""
        count = self.store.read + self._live.looks
        self.store.read = self._live.looks = 0
        return count


def test_the_next_deadline_is_found_without_reading_the_others() -> None:
    """Seen: with 200,000 claims waiting, the tick timer took 60 to 300 ms of the event loop each time."""
    many = Many(10_000)
    many.reads()
    assert many.deadlines.earliest_ms(many.rows) == 0
    assert many.reads() <= 3


def test_deadlines_that_were_cleared_are_passed_over_once_and_not_again() -> None:
    many = Many(1_000)
    many.clear(range(1_900))
    many.reads()
    assert many.deadlines.earliest_ms(many.rows) == 1_900
    assert many.reads() <= 5_000
    assert many.deadlines.earliest_ms(many.rows) == 1_900
    assert many.reads() <= 3


def test_when_all_deadlines_are_cleared_nothing_is_read_until_one_is_set() -> None:
    many = Many(1_000)
    many.clear(range(2_000))
    assert many.deadlines.earliest_ms(many.rows) is None
    many.reads()
    assert many.deadlines.earliest_ms(many.rows) is None
    assert many.reads() == 0
    many.deadlines.set(many.rows, 500, b"w", b"subject")
    assert many.deadlines.earliest_ms(many.rows) == 500


def test_deadlines_that_are_due_are_found_in_pieces_without_walking_through_those_already_met() -> None:
    many = Many(1_000)
    pieces = 0
    many.reads()
    while due := many.deadlines.due(many.rows, 1_999, 100):
        many.clear(at_ms for at_ms, _, _ in due)
        pieces += 1
    assert pieces == 20
    assert many.reads() <= 6_000


def test_a_deadline_is_due_at_its_millisecond_and_not_before() -> None:
    many = Many(10)
    assert [at_ms for at_ms, _, _ in many.deadlines.due(many.rows, 3, 100)] == [0, 1, 2, 3]
    assert [at_ms for at_ms, _, _ in many.deadlines.due(many.rows, 3, 1)] == [0]


def test_where_no_more_may_be_done_nothing_is_due_and_nothing_is_passed_over() -> None:
    many = Many(10)
    assert many.deadlines.due(many.rows, 5, 0) == []
    assert many.deadlines.earliest_ms(many.rows) == 0


def test_what_was_cleared_and_not_committed_is_due_again_after_a_reset() -> None:
    many = Many(10)
    many.clear(range(20))
    assert many.deadlines.earliest_ms(many.rows) is None
    many.rows.reset()
    assert many.deadlines.earliest_ms(many.rows) == 0


def test_what_lands_after_a_reset_is_in_the_store_and_nowhere_else() -> None:
    store = MemoryStore()
    rows = Rows(store)
    rows.put(PLAIN, b"01", Number(1))
    changes = rows.flush()
    rows.reset()
    store.write(changes)
    rows.committed()
    assert rows.get(PLAIN, b"01") == Number(1)
