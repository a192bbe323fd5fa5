"""The watermark, and that each core tells "too late" and "unknown" by it and by nothing else."""

from __future__ import annotations

import pytest

from streams.ledger import orders, promotions, reservations
from streams.ledger.commands import Tick
from streams.ledger.effects import Effects
from streams.ledger.rows import MemoryStore, Rows
from streams.ledger.watermark import raise_watermark, watermark_ms
from tests.streams.ledger.orders.support import Bench, only_outcome, outcomes
from tests.streams.ledger.reservations.stage import HOUR_MS, NOON_MS, TERMS, Ledger

LOG = "order-commands"


def rows() -> Rows:
    return Rows(MemoryStore())


def test_nothing_is_known_until_a_tick_says_so() -> None:
    assert watermark_ms(rows(), LOG) == 0


def test_a_watermark_never_goes_back() -> None:
    task = rows()
    for at_ms, expected in ((5_000, 5_000), (4_000, 5_000), (0, 5_000), (6_000, 6_000)):
        raise_watermark(task, LOG, at_ms, now_ms=9_000)
        assert watermark_ms(task, LOG) == expected


def test_a_watermark_is_never_ahead_of_the_record_that_brings_it() -> None:
    task = rows()
    raise_watermark(task, LOG, 9_000, now_ms=7_000)
    assert watermark_ms(task, LOG) == 7_000


def test_each_log_has_a_watermark_of_its_own() -> None:
    task = rows()
    raise_watermark(task, LOG, 5_000, now_ms=9_000)
    assert watermark_ms(task, "sku-commands") == 0


@pytest.mark.parametrize("core", [orders, promotions, reservations], ids=lambda core: core.__name__)
def test_a_tick_that_brings_nothing_new_writes_no_row(core: object) -> None:
    task = rows()
    for at_ms in (5_000, 5_000, 4_000, 0):
        core.decide(task, Tick(at_ms), 9_000, Effects())  # type: ignore[attr-defined]
    assert len(task.flush()) == 1
    core.decide(task, Tick(5_000), 10_000, Effects())  # type: ignore[attr-defined]
    assert task.flush() == {}


def test_a_cancel_whose_order_waits_in_a_backlog_is_not_told_that_there_is_none() -> None:
    bench = Bench()
    placed_ms = bench.now_ms
    bench.cancel()
    bench.now_ms += HOUR_MS
    assert bench.feed(Tick(placed_ms + bench.terms.claim_grace_ms - 1)) == []
    bench.place((("SKU-1", 2), ("SKU-2", 1)))
    bench.decided("SKU-1", 2)
    bench.decided("SKU-2", 1)
    bench.given_back("SKU-1", 2)
    assert [outcome["outcome"] for outcome in outcomes(bench.given_back("SKU-2", 1))] == ["CANCELLED"]


def test_a_cancel_is_told_that_there_is_no_order_once_the_watermark_has_passed_its_grace() -> None:
    bench = Bench()
    bench.cancel()
    bench.now_ms += HOUR_MS
    assert only_outcome(bench.tick())["reason"] == "NO_ORDER"


def test_orders_are_not_forgotten_while_their_repeats_may_wait_in_a_backlog() -> None:
    bench = Bench()
    bench.accepted((("SKU-1", 2), ("SKU-2", 1)))
    bench.now_ms += 10 * bench.terms.retention_ms
    bench.feed(Tick(bench.now_ms - 10 * bench.terms.retention_ms))
    assert only_outcome(bench.place((("SKU-1", 2), ("SKU-2", 1))))["revision"] == 1


def test_a_claim_whose_start_waits_in_a_backlog_is_not_told_that_there_is_no_reservation() -> None:
    ledger = Ledger()
    ledger.claim("O-1")
    ledger.now_ms += HOUR_MS
    assert ledger.do(Tick(NOON_MS + 4_999)) == []
    ledger.reserve(expires_in_ms=HOUR_MS)
    assert ledger.row().state == "PENDING"


def test_an_order_in_time_is_taken_however_late_it_is_decided_and_a_late_one_never() -> None:
    ledger = Ledger()
    ledger.open(10, expires_in_ms=HOUR_MS)
    deadline_ms = NOON_MS + HOUR_MS
    ledger.now_ms += 10 * HOUR_MS
    ledger.do(Tick(deadline_ms + TERMS.expiry_grace_ms - 1))
    told = [
        answer.reason for n in range(3) for answer in ledger.claim(f"O-{n}", placed_at_ms=deadline_ms + n)
    ]
    assert told == ["", "EXPIRED", "EXPIRED"]
    ledger.do(Tick(deadline_ms + TERMS.expiry_grace_ms))
    assert ledger.row().state == "RELEASING"


def test_claims_are_not_forgotten_while_their_orders_may_wait_in_a_backlog() -> None:
    ledger = Ledger()
    ledger.open(10)
    ledger.claim("O-1")
    ledger.close()
    ledger.now_ms += 2 * TERMS.claims_kept_ms
    ledger.do(Tick(ledger.now_ms - TERMS.claims_kept_ms - 1))
    assert ledger.claim_row("O-1") is not None
    ledger.do(Tick(ledger.now_ms))
    assert ledger.claim_row("O-1") is None
