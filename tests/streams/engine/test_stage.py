"""What all stages share: the time that a log has shown, and what is wrong with a record."""

from __future__ import annotations

from streams.engine.stage import Withheld, committed_ms, remember_seen_ms, seen_ms, what_is_wrong
from streams.ledger.rows import MemoryStore, Rows
from tests.streams.engine.kit import Rec


def test_the_time_of_a_log_is_that_of_its_newest_record_and_is_committed_with_it() -> None:
    store = MemoryStore()
    rows = Rows(store)
    assert (seen_ms(rows, "orders"), committed_ms(rows, "orders")) == (0, 0)
    remember_seen_ms(rows, "orders", 5_000)
    assert (seen_ms(rows, "orders"), committed_ms(rows, "orders")) == (5_000, 0)
    store.write(rows.flush())
    rows.committed()
    remember_seen_ms(rows, "orders", 6_000)
    assert (seen_ms(rows, "orders"), committed_ms(rows, "orders")) == (6_000, 5_000)
    assert (seen_ms(rows, "others"), committed_ms(rows, "others")) == (0, 0)


def test_what_the_consumer_says_of_a_record_goes_before_what_its_stage_has_found() -> None:
    assert what_is_wrong(Withheld(5, 0, 1, "too large"), "no JSON") == "too large"
    assert what_is_wrong(Rec(5, b"k"), "no JSON") == "no JSON"
