"""Orders that wait long for one of their SKUs: nothing of them is forgotten, nor settled too early."""

from __future__ import annotations

import pytest

from streams.ledger.commands import Keep
from streams.ledger.effects import Send
from streams.ledger.orders import earliest_deadline_ms
from streams.ledger.orders.pages import PAGE_KEYS
from streams.ledger.orders.state import ORDERS
from streams.ledger.orders.undecided import MOST_MS
from streams.ledger.terms import Terms
from tests.streams.ledger.orders.support import Bench, asked

TWO = (("SKU-1", 5), ("SKU-2", 1))
THIRD_MS = Terms().settle_delay_ms // 3


def kept(sends: list[Send]) -> list[str]:
    """SKUs whose units are kept."""
    return [command.sku for command in asked(sends) if isinstance(command, Keep)]


def waiting(terms: Terms | None = None) -> Bench:
    """An order whose first line is taken and whose second one waits."""
    bench = Bench()
    bench.terms = terms or Terms()
    bench.place(TWO)
    bench.decided("SKU-1", 5)
    return bench


def test_what_an_undecided_order_has_taken_is_kept_again_and_again_and_once_more_with_its_outcome() -> None:
    bench = waiting()
    assert kept(bench.tick(THIRD_MS - 1)) == []
    assert [kept(bench.tick(THIRD_MS + 1_000)) for _ in range(5)] == [["SKU-1"]] * 5
    sends = bench.decided("SKU-2", 1)
    assert kept(sends) == ["SKU-1", "SKU-2"]
    assert kept(bench.tick(10 * THIRD_MS)) == []


def test_an_order_that_is_decided_soon_costs_no_command() -> None:
    bench = waiting()
    bench.now_ms += THIRD_MS - 1
    assert kept(bench.decided("SKU-2", 1)) == []
    assert kept(bench.tick(10 * THIRD_MS)) == []
    assert earliest_deadline_ms(bench.rows) is None


def test_a_line_that_was_refused_has_nothing_to_keep() -> None:
    bench = waiting()
    bench.now_ms += 2 * THIRD_MS
    assert kept(bench.decided("SKU-2", 1, "NO_RESERVATION")) == ["SKU-1"]


@pytest.mark.parametrize("terms", [Terms(book_sale=True), Terms(settle_delay_ms=0)])
def test_where_nobody_else_books_it_is_only_kept_from_being_forgotten(terms: Terms) -> None:
    bench = waiting(terms)
    assert kept(bench.tick(MOST_MS - 1)) == []
    assert [kept(bench.tick(MOST_MS + 1_000)) for _ in range(3)] == [["SKU-1"]] * 3
    assert kept(bench.decided("SKU-2", 1)) == ["SKU-1", "SKU-2"]


def test_a_long_settle_delay_does_not_let_the_ledger_forget() -> None:
    bench = waiting(Terms(settle_delay_ms=86_400_000))
    assert kept(bench.tick(MOST_MS + 1_000)) == ["SKU-1"]


@pytest.mark.parametrize("reason", ["", "EXHAUSTED"])
def test_what_an_order_holds_that_was_undecided_for_long_is_remembered_from_its_outcome_on(
    reason: str,
) -> None:
    soon, late = waiting(Terms(book_sale=True)), waiting(Terms(book_sale=True))
    soon.now_ms += MOST_MS - 1
    assert kept(soon.decided("SKU-2", 1, reason)) == []
    late.now_ms += MOST_MS
    assert kept(late.decided("SKU-2", 1, reason)) == (["SKU-1"] if reason else ["SKU-1", "SKU-2"])


def test_an_order_of_one_line_that_is_decided_late_is_remembered_from_its_outcome_on_too() -> None:
    """Nobody may have owned the SKU's partition: it decides a claim as of when that was written."""
    bench = Bench()
    bench.cancel((("SKU-1", 1),))
    bench.tick(bench.terms.claim_grace_ms)
    bench.place((("SKU-1", 2),))
    bench.now_ms += MOST_MS
    assert kept(bench.decided("SKU-1", 1)) == ["SKU-1"]


def test_an_incomplete_order_gives_its_units_back_and_keeps_none() -> None:
    bench = waiting(Terms(all_or_nothing=True))
    bench.now_ms += 2 * THIRD_MS
    assert kept(bench.decided("SKU-2", 1, "EXHAUSTED")) == []
    assert kept(bench.tick(THIRD_MS)) == []


def test_thousands_of_undecided_orders_are_looked_after_in_bounded_steps() -> None:
    bench = Bench()
    lines = tuple((f"SKU-{number}", 1) for number in range(40))
    refs = [f"ORD-{number}" for number in range(200)]
    for ref in refs:
        bench.place(lines, ref)
        for sku, _ in lines[1:]:
            bench.decided(sku, 1, ref=ref)
    for _ in range(2):
        assert len(kept(bench.tick(THIRD_MS + 1_000))) == 200 * 39


def looked_at(bench: Bench, passed_ms: int, monkeypatch: pytest.MonkeyPatch) -> set[bytes]:
    """Orders whose rows are read while time passes."""
    read: set[bytes] = set()
    get = bench.store.get

    def noting(key: bytes) -> bytes | None:
        if key.startswith(ORDERS.prefix):
            read.add(key[len(ORDERS.prefix) :])
        return get(key)

    monkeypatch.setattr(bench.store, "get", noting)
    bench.tick(passed_ms)
    monkeypatch.undo()
    return read


def test_orders_that_are_all_decided_are_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen: each was read a few seconds later to find that out, a sixth of what the order had cost."""
    bench = Bench(Terms())
    for number in range(2 * PAGE_KEYS + 10):
        bench.place(TWO, f"ORD-{number}")
        bench.decided("SKU-1", 5, ref=f"ORD-{number}")
        bench.decided("SKU-2", 1, ref=f"ORD-{number}")
    assert looked_at(bench, 10 * THIRD_MS, monkeypatch) == set()
    assert not [key for key in bench.store.rows if key.startswith((b"OL", b"OU"))]


def test_among_many_that_are_decided_the_one_that_is_not_is_looked_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(Terms())
    for number in range(PAGE_KEYS):
        bench.place(TWO, f"ORD-{number}")
        bench.decided("SKU-1", 5, ref=f"ORD-{number}")
    for number in range(1, PAGE_KEYS):
        bench.decided("SKU-2", 1, ref=f"ORD-{number}")
    assert len(looked_at(bench, THIRD_MS + 1_000, monkeypatch)) == PAGE_KEYS
    assert kept(bench.tick(THIRD_MS + 1_000)) == ["SKU-1"]
    bench.decided("SKU-2", 1, ref="ORD-0")
    assert looked_at(bench, 10 * THIRD_MS, monkeypatch) == set()


def test_an_order_that_gives_its_lines_back_is_not_looked_after(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(Terms(all_or_nothing=True))
    bench.place(TWO)
    bench.decided("SKU-1", 5)
    bench.decided("SKU-2", 1, "EXHAUSTED")
    assert looked_at(bench, 10 * THIRD_MS, monkeypatch) == set()
