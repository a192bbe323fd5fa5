from __future__ import annotations

import pytest

from streams.ledger import commands as c
from streams.ledger.reservations.figures import EVERY_MS
from streams.ledger.terms import Terms
from tests.streams.ledger.reservations.stage import HOUR_MS, IDS, NOON_MS, TERMS, Ledger, decided, figures_in

REPORT_MS = TERMS.report_interval_ms
QUIET = Terms(settle_delay_ms=HOUR_MS)


def test_a_promotion_is_told_of_changes_once_a_second_and_of_which_moment_its_figures_are() -> None:
    ledger = Ledger()
    ledger.open(100, terms=QUIET)
    ledger.after(EVERY_MS)
    out = []
    for n in range(30):
        out += figures_in(ledger.claim(f"O-{n}"))
        out += figures_in(ledger.after(EVERY_MS // 10))
    assert [(figures.version, figures.consumed) for figures in out] == [(2, 10), (3, 20), (4, 30)]
    assert [figures.at_ms for figures in out] == [NOON_MS + n * EVERY_MS for n in (2, 3, 4)]


def test_what_is_told_at_once_is_not_told_again_a_second_later() -> None:
    ledger = Ledger()
    ledger.reserve(100, terms=QUIET)
    assert len(figures_in(ledger.do(c.HoldConfirmed(*IDS, 1, 100)))) == 1
    assert figures_in(ledger.after(EVERY_MS)) == []


def test_what_fluent_has_confirmed_is_told_once_an_interval() -> None:
    ledger = Ledger()
    ledger.open(100)
    ledger.claim("O-1")
    ledger.of_age()
    ledger.after(EVERY_MS)
    ledger.now_ms += EVERY_MS
    assert [figures.held for figures in figures_in(ledger.after(REPORT_MS))] == [99]


def test_what_is_confirmed_meanwhile_does_not_put_a_report_off() -> None:
    ledger = Ledger()
    ledger.open(100)
    ledger.claim("O-1")
    ledger.after(TERMS.settle_delay_ms)
    ledger.claim("O-2")
    ledger.after(2 * EVERY_MS)
    ledger.of_age()
    confirmed_at_ms = ledger.now_ms
    ledger.of_age()
    [figures] = figures_in(ledger.at(confirmed_at_ms + REPORT_MS))
    assert (figures.held, ledger.now_ms - figures.at_ms) == (98, 0)


def test_an_unchanged_reservation_reports_nothing() -> None:
    ledger = Ledger()
    ledger.open(100, terms=QUIET)
    ledger.after(HOUR_MS // 10)
    ledger.do(c.Verified(*IDS, ledger.row().number, 100))
    assert figures_in(ledger.after(HOUR_MS // 10)) == []


def test_every_change_of_state_is_reported_at_once_with_a_higher_version() -> None:
    ledger = Ledger()
    ledger.open(100)
    ledger.claim("O-1")
    ledger.close()
    sent = [
        c.decode_promotion_command(s.value or b"") for s in ledger.sent if s.topic == "promotion-commands"
    ]
    told = figures_in(sent)
    assert [figures.version for figures in told] == [1, 2, 3, 4]
    assert list(dict.fromkeys(figures.state for figures in told)) == ["ACTIVE", "RELEASING", "CLOSED"]


def test_refusals_after_the_close_are_reported_once_an_interval() -> None:
    ledger = Ledger()
    ledger.open(100)
    ledger.close()
    ledger.after(2 * REPORT_MS)
    ledger.do(c.Verified(*IDS, ledger.row().number, 0))
    for n in range(5):
        assert ledger.claim(f"O-{n}") == [decided(f"O-{n}", "ENDED")]
    out = figures_in(ledger.after(REPORT_MS))
    assert [(figures.rejected_units, figures.rejected_orders) for figures in out] == [(5, 5)]


def test_refusals_of_what_was_ended_before_its_start_are_reported_once_an_interval() -> None:
    """Nobody publishes figures of it each second, so nothing else brings the report."""
    ledger = Ledger()
    ledger.end()
    for n in range(5):
        assert ledger.claim(f"O-{n}") == [decided(f"O-{n}", "ENDED")]
    out = figures_in(ledger.after(REPORT_MS))
    assert [(figures.rejected_units, figures.rejected_orders) for figures in out] == [(5, 5)]
    ledger.claim("LATE")
    ledger.after(2 * TERMS.claims_kept_ms)
    assert ledger.kept() == [b"RR"]


def test_refusals_before_the_start_are_in_the_figures_of_the_reservation() -> None:
    ledger = Ledger()
    ledger.claim("O-1", 2)
    ledger.after(5_000)
    ledger.reserve(10)
    figures = figures_in(ledger.do(c.HoldConfirmed(*IDS, 1, 10)))[0]
    assert (figures.rejected_units, figures.rejected_orders) == (2, 1)


def test_a_closed_verified_and_forgotten_reservation_keeps_its_row_and_has_no_deadline() -> None:
    ledger = Ledger()
    ledger.open(100)
    ledger.claim("O-1")
    ledger.close()
    ledger.verify()
    ledger.after(TERMS.claims_kept_ms)
    assert ledger.due_ms() is None
    assert ledger.claim_row("O-1") is None
    assert ledger.row().state == "CLOSED"
    assert ledger.kept() == [b"RR"]


@pytest.mark.parametrize("waits", [False, True])
def test_claims_are_kept_for_the_retention_after_the_close(waits: bool) -> None:
    ledger = Ledger()
    ledger.reserve(100, expires_in_ms=10 * HOUR_MS)
    if waits:
        ledger.claim("O-1")
    ledger.do(c.HoldConfirmed(*IDS, 1, 100))
    if not waits:
        ledger.claim("O-1")
    ledger.now_ms += 9 * HOUR_MS
    ledger.close()
    ledger.verify()
    ledger.after(TERMS.claims_kept_ms - TERMS.verify_ms - 1)
    assert ledger.claim_row("O-1") is not None
    assert ledger.claim("O-1") == [decided("O-1", again=True)]


def test_thousands_of_claims_are_forgotten_in_bounded_steps() -> None:
    ledger = Ledger()
    ledger.open(10_000)
    for n in range(4_500):
        ledger.step(c.Claim(*IDS, 1, f"O-{n}", ledger.now_ms, 5_000, HOUR_MS))
    ledger.close()
    ledger.verify()
    ledger.after(TERMS.claims_kept_ms)
    assert ledger.kept() == [b"RR"]


def test_claims_that_come_after_the_forgetting_are_forgotten_as_well() -> None:
    ledger = Ledger()
    ledger.open(100)
    ledger.close()
    ledger.verify()
    ledger.after(TERMS.claims_kept_ms)
    ledger.claim("O-1")
    ledger.after(TERMS.claims_kept_ms)
    assert ledger.claim_row("O-1") is None
    assert ledger.due_ms() is None


def test_forgetting_one_reservation_leaves_those_with_a_similar_key_alone() -> None:
    ledger = Ledger()
    for sku in ("SKU-1", "SKU-10", "SKU-1\x01"):
        ledger.do(c.Reserve("FLASH-1", sku, 5, ledger.now_ms + 2_000 * HOUR_MS, TERMS))
        ledger.do(c.HoldConfirmed("FLASH-1", sku, 1, 5))
        ledger.do(c.Claim("FLASH-1", sku, 1, "O-1", ledger.now_ms, 5_000, HOUR_MS))
    ledger.close()
    ledger.verify()
    ledger.now_ms += TERMS.claims_kept_ms
    ledger.do(c.Tick(ledger.now_ms))
    left = [key for key in ledger.store.rows if key.startswith(b"RC")]
    assert left == [b"RCFLASH-1\0SKU-10\0O-1", b"RCFLASH-1\0SKU-1\x01\0O-1"]
