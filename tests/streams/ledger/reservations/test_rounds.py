"""A round of verifies: whom it asks about, in pages and in bounded steps, and when the next is due."""

from __future__ import annotations

from schemas.topics import FLUENT_REQUESTS
from streams.ledger import commands as c
from streams.ledger.fluent_requests import VerifyPage
from streams.ledger.reservations.verifying import MAX_LISTED, PAGE_LINES, ROUNDS
from tests.streams.ledger.reservations.stage import (
    HOUR_MS,
    NOON_MS,
    PROMOTION,
    SKU,
    TERMS,
    Ledger,
    decode,
    of,
)

EVERY_MS = TERMS.report_interval_ms * 3 // 4


def catalogue(skus: int) -> Ledger:
    """So many ACTIVE reservations, of which nobody orders."""
    ledger = Ledger()
    for number in range(skus):
        ledger.step(c.Reserve(PROMOTION, f"SKU-{number}", 5, NOON_MS + 1_000 * HOUR_MS, TERMS))
        ledger.step(c.HoldConfirmed(PROMOTION, f"SKU-{number}", 1, 5))
    return ledger


def pages(ledger: Ledger, passed_ms: int = EVERY_MS) -> list[VerifyPage]:
    return of(VerifyPage, ledger.after(passed_ms))


def test_idle_skus_are_asked_about_in_pages_and_cost_no_row() -> None:
    """Seen: each was verified by itself, so that 10,000 idle ones cost 233 requests and 933 rows a second."""
    ledger = catalogue(1_000)
    ledger.after(2 * TERMS.hold_timeout_ms)
    before = {key: row for key, row in ledger.store.rows.items() if key.startswith(b"R")}
    asked = pages(ledger)
    for page in asked:
        ledger.do(c.PageVerified(page.round, page.page))
    assert [len(page.lines) for page in asked] == [PAGE_LINES] * (1_000 // PAGE_LINES)
    assert {line.sku for page in asked for line in page.lines} == {f"SKU-{n}" for n in range(1_000)}
    after = {key: row for key, row in ledger.store.rows.items() if key.startswith(b"R")}
    changed = {key[:2] for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert changed <= {ROUNDS.prefix, b"RD"}


def test_a_round_of_many_skus_is_asked_for_in_bounded_steps() -> None:
    ledger = catalogue(2 * MAX_LISTED + 300)
    asked = pages(ledger)
    assert sum(len(page.lines) for page in asked) == 2 * MAX_LISTED + 300
    assert [page.page for page in asked] == list(range(len(asked)))
    assert len(pages(ledger)) == len(asked), "the next round follows"


def begin(ledger: Ledger) -> tuple[c.Continue, list[VerifyPage]]:
    """A round that is due begins: the Continue that is to go on with it, and the pages of its first step."""
    ledger.now_ms += EVERY_MS
    [first] = [decode(send) for send in ledger.step(c.Tick(ledger.now_ms)) if send.own]
    sent = [decode(send) for send in ledger.step(first)]
    [go_on] = of(c.Continue, sent)
    return go_on, of(VerifyPage, sent)


def test_pages_that_are_answered_before_all_of_a_round_is_listed_count_for_it() -> None:
    ledger = catalogue(MAX_LISTED)
    go_on, asked = begin(ledger)
    for page in asked:
        ledger.do(c.PageVerified(page.round, page.page))
    found = ledger.rows.get(ROUNDS, b"")
    assert found is not None and found.verified_at_ms == 0, "there may be more of it"
    assert ledger.do(go_on) == []
    found = ledger.rows.get(ROUNDS, b"")
    assert found is not None and found.verified_at_ms == ledger.now_ms


def test_what_goes_on_with_a_former_round_asks_nothing_in_a_newer_one() -> None:
    """A promotion that has just begun may want the next round before this one is listed."""
    ledger = catalogue(MAX_LISTED + 1)
    stale, _ = begin(ledger)
    ledger.do(c.Reserve(PROMOTION, "SKU-NEW", 5, NOON_MS + 1_000 * HOUR_MS, TERMS))
    ledger.do(c.HoldConfirmed(PROMOTION, "SKU-NEW", 1, 5))
    go_on, asked = begin(ledger)
    assert ledger.do(stale) == []
    [last] = of(VerifyPage, ledger.do(go_on))
    assert (last.round, last.page, len(last.lines)) == (asked[0].round, len(asked), 2)


def test_a_reservation_that_begins_puts_the_round_of_the_others_off_for_nobody() -> None:
    """Else none would ever be verified while one promotion after the other begins."""
    ledger = catalogue(1)
    ledger.after(EVERY_MS - 1_000)
    ledger.open(1)
    [page] = pages(ledger, 1_000)
    assert [(line.sku, line.held) for line in page.lines] == [("SKU-0", 5), (SKU, 1)]


def test_a_page_goes_to_the_partition_of_its_first_line() -> None:
    ledger = catalogue(3)
    ledger.after(EVERY_MS)
    [send] = [s for s in ledger.sent if isinstance(decode(s), VerifyPage)]
    assert (send.topic, send.key) == (FLUENT_REQUESTS, decode(send).lines[0].sku.encode())
