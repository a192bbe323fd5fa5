"""Orders go `retention_ms` after their last change, with everything that belongs to them."""

from __future__ import annotations

from streams.ledger.commands import Cancel, Claim, Tick
from streams.ledger.terms import Terms
from tests.streams.ledger.orders.support import (
    HOUR_MS,
    PROMOTION,
    TERMS,
    Bench,
    asked,
    only_outcome,
    outcomes,
    refusals,
)

MINUTE_MS = 60_000
LINE = (("SKU-1", 2),)


def order_rows(bench: Bench) -> list[bytes]:
    """What is stored of orders, their cancels, withheld units and queues."""
    return [key for key in bench.store.rows if key[:2] in (b"OO", b"OC", b"OW", b"OQ")]


def test_an_order_is_remembered_for_the_retention_and_then_forgotten() -> None:
    bench = Bench()
    bench.accepted(LINE)
    bench.tick(HOUR_MS)
    assert len(outcomes(bench.place(LINE))) == 1
    assert bench.tick(MINUTE_MS) == []
    assert order_rows(bench) == []
    assert isinstance(asked(bench.place(LINE))[0], Claim)


def test_units_that_the_ledger_still_counts_for_a_forgotten_order_are_not_a_new_orders() -> None:
    bench = Bench()
    bench.accepted(LINE)
    bench.tick(HOUR_MS + MINUTE_MS)
    bench.place((("SKU-1", 5),))
    outcome = only_outcome(bench.decided("SKU-1", 2))
    assert outcome["outcome"] == "REJECTED"
    assert refusals(outcome) == [("SKU-1", 5, "CONFLICT")]
    assert not any(isinstance(command, Cancel) for command in asked(bench.cancel()))


def test_a_forgotten_order_takes_its_cancels_along() -> None:
    bench = Bench()
    bench.accepted(LINE)
    bench.cancel((("SKU-1", 1),), "RMA-1")
    bench.given_back("SKU-1", 1)
    bench.tick(HOUR_MS + MINUTE_MS)
    assert order_rows(bench) == []


def test_a_cancel_prolongs_the_memory_of_its_order() -> None:
    bench = Bench()
    bench.accepted(LINE)
    bench.tick(HOUR_MS // 2)
    bench.cancel((("SKU-1", 1),), "RMA-1")
    bench.given_back("SKU-1", 1)
    bench.tick(HOUR_MS // 2 + MINUTE_MS)
    assert bench.deadline_ms() == bench.now_ms + HOUR_MS // 2 - MINUTE_MS
    assert only_outcome(bench.place(LINE))["revision"] == 2
    bench.tick(HOUR_MS // 2 - MINUTE_MS - 1)
    assert len(order_rows(bench)) == 2
    bench.tick(1)
    assert order_rows(bench) == []
    assert bench.deadline_ms() is None


def test_an_order_with_a_cancel_under_way_is_not_forgotten() -> None:
    bench = Bench()
    bench.accepted(LINE)
    bench.cancel((("SKU-1", 1),), "RMA-1")
    bench.tick(HOUR_MS + MINUTE_MS)
    assert only_outcome(bench.given_back("SKU-1", 1))["outcome"] == "PARTIAL"
    bench.tick(HOUR_MS + MINUTE_MS)
    assert order_rows(bench) == []


def test_an_orphan_cancel_is_forgotten_as_well() -> None:
    bench = Bench()
    bench.cancel((("SKU-1", 1), ("SKU-2", 1)), "RMA-1")
    bench.tick(TERMS.claim_grace_ms)
    assert len(order_rows(bench)) == 4
    bench.tick(HOUR_MS + MINUTE_MS)
    assert order_rows(bench) == []


def test_orders_share_one_deadline_by_the_page() -> None:
    bench = Bench()
    for number in range(640):
        bench.accepted(LINE, f"ORD-{number}")
    deadlines = [key for key in bench.store.rows if key[:2] == b"OD"]
    assert len(deadlines) == 10
    bench.tick(HOUR_MS + MINUTE_MS)
    assert order_rows(bench) == []
    assert bench.deadline_ms() is None
    assert [key for key in bench.store.rows if key[:2] not in (b"OH", b"!w")] == []


def test_a_page_that_was_forgotten_before_it_was_full_leaves_nothing_behind() -> None:
    bench = Bench()
    for number in range(3):
        bench.accepted(LINE, f"ORD-{number}")
        bench.tick(HOUR_MS + MINUTE_MS)
        assert order_rows(bench) == []
    assert [key for key in bench.store.rows if key[:2] not in (b"OH", b"!w")] == []


def test_an_order_that_comes_while_a_page_is_forgotten_is_on_a_page_of_its_own() -> None:
    bench = Bench()
    bench.accepted(LINE)
    for number in range(2_500):
        bench.cancel((("SKU-9", 1),), f"RMA-{number}")
    bench.now_ms += HOUR_MS + MINUTE_MS
    bench.feed(Tick(bench.now_ms))
    assert bench.continues
    bench.accepted(LINE, "ORD-2")
    bench.settle()
    assert order_rows(bench) == [b"OOORD-2\0" + PROMOTION.encode()]
    bench.tick(HOUR_MS + MINUTE_MS)
    assert order_rows(bench) == []


def test_forgetting_many_orders_is_done_in_several_commands() -> None:
    bench = Bench()
    for number in range(3_000):
        bench.accepted(LINE, f"ORD-{number}")
    bench.now_ms += HOUR_MS + MINUTE_MS
    bench.feed(Tick(bench.now_ms))
    assert bench.continues
    assert len(order_rows(bench)) > 1_000
    bench.settle()
    assert order_rows(bench) == []


def test_forgetting_very_many_cancels_of_an_order_that_never_came_is_done_in_several_commands() -> None:
    bench = Bench()
    for number in range(1_100):
        bench.cancel(((f"SKU-{number}", 1),), f"RMA-{number}")
    bench.tick(TERMS.claim_grace_ms)
    assert len(order_rows(bench)) == 1 + 2 * 1_100
    bench.tick(HOUR_MS + MINUTE_MS)
    assert order_rows(bench) == []


def test_forgetting_an_order_with_very_many_cancels_is_done_in_several_commands() -> None:
    bench = Bench()
    bench.accepted(LINE)
    for number in range(4_500):
        bench.cancel((("SKU-9", 1),), f"RMA-{number}")
    bench.tick(HOUR_MS + MINUTE_MS)
    assert order_rows(bench) == []


def test_forgetting_many_orders_that_had_changed_since_is_done_in_several_commands() -> None:
    bench = Bench()
    for number in range(600):
        bench.accepted(LINE, f"ORD-{number}")
    bench.tick(HOUR_MS // 2)
    for number in range(600):
        bench.cancel((("SKU-9", 1),), ref=f"ORD-{number}")
    bench.tick(HOUR_MS // 2 + MINUTE_MS)
    assert len([key for key in bench.store.rows if key[:2] == b"OD"]) == 600
    bench.now_ms += HOUR_MS // 2
    bench.feed(Tick(bench.now_ms))
    assert bench.continues
    bench.settle()
    assert order_rows(bench) == []


def test_orders_with_other_retentions_each_go_in_their_own_time() -> None:
    bench = Bench()
    for number, hours in enumerate((1, 3, 1, 2)):
        bench.terms = Terms(retention_ms=hours * HOUR_MS)
        bench.accepted(LINE, f"ORD-{number}")
    left: list[int] = []
    for _ in range(3):
        bench.tick(HOUR_MS + (MINUTE_MS if not left else 0))
        left.append(len(order_rows(bench)))
    assert left == [2, 1, 0]


def test_an_early_late_or_repeated_tick_forgets_nothing_that_is_not_due() -> None:
    bench = Bench()
    bench.accepted(LINE)
    for _ in range(3):
        bench.tick(1_000)
    assert len(order_rows(bench)) == 1
    bench.tick(10 * HOUR_MS)
    bench.accepted(LINE)
    bench.tick()
    bench.tick(MINUTE_MS)
    assert order_rows(bench) == [b"OOORD-1\0" + PROMOTION.encode()]
