"""The auditor finds what is wrong: each invariant is given a sale with one thing amiss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from streams.ledger.reservations.state import CLAIMS, RESERVATIONS, ClaimRow, Reservation
from tests.audit.evidence import (
    CHANGELOG,
    DEAD_LETTERS,
    ORDER_CANCELLED,
    ORDER_PLACED,
    OUTCOMES,
    PROMOTION_START,
    RELEASES,
    REPORTS,
    RESULTS,
    Evidence,
    Record,
)
from tests.audit.report import INVARIANTS, audit
from tests.audit.rows import CLAIM, CLAIM_LAYOUT, RESERVATION, RESERVATION_LAYOUT
from tests.audit.small_sale import (
    AFTER_CANCEL,
    GIVEN_BACK,
    STANDING,
    answer,
    besides,
    encoded,
    final,
    instead,
    line,
    log,
    order,
    outcome,
    release,
    reservation,
    row,
    small_sale,
)

RIGHT = small_sale()
FIRST, SECOND, THIRD = ((ORDER_PLACED, 0, offset) for offset in (0, 1, 5))


def amiss() -> Iterator[tuple[str, Evidence]]:
    """An invariant, and a sale in which it does not hold."""
    yield from answers_amiss()
    yield from units_amiss()
    yield from times_amiss()
    yield from rows_amiss()


def answers_amiss() -> Iterator[tuple[str, Evidence]]:
    every = "every input is decided or a dead letter"
    yield every, instead(RIGHT, OUTCOMES, 0)
    yield every, instead(RIGHT, RESULTS, 0)
    yield every, besides(RIGHT, OUTCOMES, answer(SECOND, STANDING))
    yield every, besides(RIGHT, DEAD_LETTERS, answer((ORDER_PLACED, 0, 9), b"{", reason="INVALID"))
    fits = "an answer fits its event"
    yield fits, instead(RIGHT, OUTCOMES, 1, answer(SECOND, outcome("O-9", ("A", 2, ""))))
    yield fits, instead(RIGHT, OUTCOMES, 1, answer(SECOND, outcome("O-2", ("A", 1, ""))))
    original = "a dead letter is the original with a true reason"
    invalid = (ORDER_PLACED, 0, 3)
    yield original, instead(RIGHT, DEAD_LETTERS, 1, answer(invalid, b"[", reason="INVALID"))
    yield original, instead(RIGHT, DEAD_LETTERS, 1, answer(invalid, b"{", reason="CONFLICT"))
    yield original, besides(RIGHT, DEAD_LETTERS, answer(SECOND, STANDING, reason="INVALID"))
    content = "of one identity one content stands"
    both = answer((ORDER_PLACED, 0, 2), outcome("O-2", ("A", 1, "")))
    yield content, besides(instead(RIGHT, DEAD_LETTERS, 0), OUTCOMES, both)
    same = "a repeat gets the same bytes"
    yield same, instead(RIGHT, OUTCOMES, 2, answer((ORDER_PLACED, 0, 4), STANDING + b" "))
    yield same, besides(RIGHT, RESULTS, replace(RIGHT.records[RESULTS][0], value=results(other=1)))
    once = "an order is decided once"
    yield once, besides(RIGHT, OUTCOMES, answer(SECOND, outcome("O-2", ("A", 2, ""), revision=2)))
    yield once, besides(RIGHT, OUTCOMES, answer(SECOND, outcome("O-2", revision=3, cancelResults=[])))
    back = [{"sku": "A", "quantity": 3, "cancelled": True}]
    yield once, besides(RIGHT, OUTCOMES, answer(SECOND, outcome("O-2", revision=2, cancelResults=back)))
    left = "an outcome says what is left"
    yield left, instead(RIGHT, OUTCOMES, 1, answer(SECOND, outcome("O-2", ("A", 2, ""), outcome="PARTIAL")))
    last = outcome("O-1", ("A", 1, ""), ("B", 1, ""), **{**AFTER_CANCEL, "outcome": "PARTIAL"})
    yield left, instead(RIGHT, OUTCOMES, 4, answer((ORDER_CANCELLED, 0, 0), last))
    gives = "a cancel gives back what it asks for"
    short = outcome("O-1", ("A", 1, ""), ("B", 1, ""), **{**AFTER_CANCEL, "cancelResults": GIVEN_BACK[:1]})
    yield gives, instead(RIGHT, OUTCOMES, 4, answer((ORDER_CANCELLED, 0, 0), short))
    first = "what was cancelled first is not taken"
    for lines in ([{"sku": "A", "quantity": 1, "cancelled": False}], []):
        unknown = outcome("O-2", reason="NO_ORDER", cancelResults=lines)
        taken = answer(SECOND, outcome("O-2", ("A", 2, ""), revision=2))
        yield first, instead(RIGHT, OUTCOMES, 1, answer(SECOND, unknown), taken)
    whole = "all or nothing is"
    half = outcome("O-1", ("A", 1, ""), ("B", 1, "INCOMPLETE_ORDER"))
    for policy in (True, False, None):
        yield whole, replace(instead(RIGHT, OUTCOMES, 0, answer(FIRST, half)), all_or_nothing=policy)
    part = outcome("O-1", ("A", 1, ""), ("B", 1, "EXHAUSTED"))
    yield whole, replace(instead(RIGHT, OUTCOMES, 0, answer(FIRST, part)), all_or_nothing=True)


def results(quantity: int = 3, refused: str = "", **more: object) -> bytes:
    expires = {"expiresAt": "2027-01-15T09:00:00.000Z"}
    lines: list[dict[str, object]] = [
        {"sku": sku, "success": True, "quantity": units, **expires}
        for sku, units in (("A", quantity), ("B", 5))
    ]
    lines += [{"sku": sku, "success": False} for sku in refused]
    return encoded({"promotionId": "P", "reservations": lines, **more})


def units_amiss() -> Iterator[tuple[str, Evidence]]:
    fewer = replace(RIGHT.records[RESULTS][0], value=results(1))
    yield "no sku is oversold", instead(RIGHT, RESULTS, 0, fewer)
    ends = "each hold ends exactly once"
    yield ends, instead(RIGHT, RELEASES, 0)
    yield ends, besides(RIGHT, RELEASES, *log(release("A", 3, 2, "EXPIRED")))
    yield "a hold ends for what came first", instead(RIGHT, RELEASES, 0, *log(release("A", 3, 2, "EXPIRED")))
    left = "the last release is of all that was not sold"
    yield left, instead(RIGHT, RELEASES, 0, *log(release("A", 3, 3)))
    yield left, besides(RIGHT, RELEASES, *log(release("A", 3, 1, "CANCELLED")))
    adds = "reserved is consumed plus released"
    yield adds, instead(RIGHT, RELEASES, 0, *log(release("A", 4, 2)))
    yield adds, instead(RIGHT, REPORTS, 0, *log(final(line("A", 3, 2, released=0), line("B", 5, 0))))
    says = "the final report says what the outcomes say"
    first, second = (
        line("A", 3, 2, cancelled=1, rejectedUnits=1, rejectedOrders=1),
        line("B", 5, 0, cancelled=1),
    )
    yield says, instead(RIGHT, REPORTS, 0)
    yield says, instead(RIGHT, REPORTS, 0, *log(final(first, second, revision=2)))
    yield says, instead(RIGHT, REPORTS, 0, *log(final(first)))
    yield says, instead(RIGHT, REPORTS, 0, *log(final(first, second, totals={"consumed": 3})))
    figures = ({"consumed": 3}, {"cancelled": 0}, {"rejectedUnits": 2}, {"drift": 1}, {"fluent": {"held": 1}})
    for wrong in figures:
        yield says, instead(RIGHT, REPORTS, 0, *log(final({**first, **wrong}, second)))
    with_refused = replace(RIGHT.records[RESULTS][0], value=results(refused="C"))
    refused = instead(RIGHT, RESULTS, 0, with_refused)
    turned_away = line("C", 0, 0, rejectedUnits=1, rejectedOrders=1)
    yield says, instead(refused, REPORTS, 0, *log(final(first, second, turned_away)))
    sells = "fluent sells what was not sold"
    for wrong_truth in ({"held": 1, "available": 8}, {"held": 0, "available": 9}):
        yield sells, replace(RIGHT, truth={**(RIGHT.truth or {}), "A": wrong_truth})
    sold_ms, released_ms = RIGHT.records[OUTCOMES][2].at_ms, RIGHT.records[RELEASES][0].at_ms
    again = {"atMs": sold_ms + 1, "sku": "A", "onHand": 10, "held": 0, "available": 9}
    yield "a sold unit is never on sale again", replace(RIGHT, journal=[again])
    held = {"atMs": released_ms - 1, "sku": "A", "onHand": 10, "held": 5, "available": 5}
    yield "what is said to be released is let go", replace(RIGHT, journal=[held])


def times_amiss() -> Iterator[tuple[str, Evidence]]:
    for reason in ("EXPIRED", "ENDED", "NO_RESERVATION"):
        told = answer(THIRD, outcome("O-3", ("A", 1, reason)))
        yield "in time is in time", instead(RIGHT, OUTCOMES, 3, told)
    late = [*RIGHT.records[ORDER_PLACED][:1], *log(RIGHT.records[ORDER_PLACED][1].value, seconds=3_700)]
    late[1] = replace(late[1], offset=1)
    yield "too late is too late", instead(instead(RIGHT, ORDER_PLACED, 4), ORDER_PLACED, 1, late[1])
    sooner = replace(RIGHT.records[PROMOTION_START][0], at_ms=RIGHT.records[PROMOTION_START][0].at_ms - 1)
    yield "a promotion lasts as long as it was to last", instead(RIGHT, PROMOTION_START, 0, sooner)
    left = "nobody is turned away while units are left"
    yield left, instead(RIGHT, OUTCOMES, 1, answer(SECOND, outcome("O-2", ("A", 2, "EXHAUSTED"))))
    served = "first come first served"
    turned_away = answer(THIRD, outcome("O-3", ("A", 1, "EXHAUSTED"), seconds=4))
    yield served, instead(instead(RIGHT, OUTCOMES, 3, turned_away), OUTCOMES, 4)


def rows_amiss() -> Iterator[tuple[str, Evidence]]:
    more = "claimed is never more than reserved"
    yield more, instead(RIGHT, CHANGELOG, 1, row(b"RR", reservation(3, 3, 4), "P", "A"))
    said = "what is said to be consumed is claimed"
    yield said, besides(RIGHT, CHANGELOG, row(b"RR", reservation(3, 3, 1), "P", "A"))
    yield said, besides(RIGHT, CHANGELOG, row(b"RC", [3, "", 0, 0], "P", "A", "O-2"))
    table = "the changelog folds to the table"
    yield table, besides(RIGHT, CHANGELOG, row(b"RR", reservation(3, 3, 1), "P", "A"))
    yield table, replace(RIGHT, tables={0: {}})
    yield "what is forgotten leaves no rows", instead(RIGHT, CHANGELOG, 3)


def test_a_sale_in_which_all_is_right_has_no_findings() -> None:
    assert audit(RIGHT).wrong == []
    assert tuple(sorted(audit(RIGHT).findings)) == tuple(sorted(INVARIANTS))


@pytest.mark.parametrize(
    ("invariant", "wrong"), list(amiss()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_what_is_amiss_is_found_under_the_name_of_its_invariant(invariant: str, wrong: Evidence) -> None:
    assert audit(wrong).findings[invariant] != []
    assert invariant not in audit(wrong, without=[invariant]).findings


def test_every_invariant_is_seen_to_fail() -> None:
    assert {invariant for invariant, _ in amiss()} == set(INVARIANTS)


def test_what_there_is_no_evidence_for_is_not_said_to_hold() -> None:
    bare = replace(RIGHT, truth=None, journal=None, tables=None, forgotten=False, over=False)
    checked = audit(replace(bare, records={**bare.records, CHANGELOG: []})).findings
    assert len(checked) == len(INVARIANTS) - 12


@pytest.mark.parametrize(("expires", "right"), [("07:59", True), ("08:00", True), ("08:01", False)])
def test_a_start_that_expires_before_it_was_placed_may_be_invalid(expires: str, right: bool) -> None:
    skus = [{"sku": "A", "quantity": 1}]
    start = {"promotion": {"id": "Q", "skus": skus, "expiresAt": f"2027-01-15T{expires}:00.000Z"}}
    sent = replace(log(encoded(start), seconds=0)[0], offset=1)
    letter = answer((PROMOTION_START, 0, 1), sent.value, reason="INVALID")
    late = besides(besides(RIGHT, PROMOTION_START, sent), DEAD_LETTERS, letter)
    found = audit(late).findings["a dead letter is the original with a true reason"]
    assert (found == []) is right
    assert audit(late).findings["of one identity one content stands"] == []


def test_what_was_read_again_is_answered_once_or_more() -> None:
    every = "every input is decided or a dead letter"
    twice = besides(RIGHT, OUTCOMES, answer(SECOND, STANDING))
    assert audit(replace(twice, read_again={SECOND})).findings[every] == []
    assert audit(replace(twice, read_again={FIRST})).findings[every] != []
    never = instead(RIGHT, OUTCOMES, 0)
    assert audit(replace(never, read_again={FIRST})).findings[every] != []


def test_what_was_settled_while_an_order_waited_for_its_worker_may_be_on_sale() -> None:
    """An order of two SKUs that is decided 5 s after it was placed; one of its units is on sale at once."""
    both = (("A", 1, ""), ("B", 1, ""))
    sold = answer(SECOND, outcome("O-2", *both, seconds=10))
    on_sale = {"atMs": sold.at_ms + 1, "sku": "A", "onHand": 10, "held": 0, "available": 10}
    late = replace(instead(RIGHT, OUTCOMES, 1, sold), journal=[on_sale])
    never = "a sold unit is never on sale again"
    assert audit(replace(late, settle_delay_ms=6_000)).findings[never] != []
    assert audit(replace(late, settle_delay_ms=4_000)).findings[never] == []
    alone = answer(SECOND, outcome("O-2", both[0], seconds=10))
    assert audit(replace(instead(late, OUTCOMES, 1, alone), settle_delay_ms=4_000)).findings[never] != []


def test_who_is_undecided_when_nobody_waits_any_more_may_be_told_that_it_was_over() -> None:
    """The promotion ends after a minute, and O-3, placed in time, is decided 100 s after that."""
    told = answer(THIRD, outcome("O-3", ("A", 1, "ENDED"), decidedAt="2027-01-15T08:02:40.000Z"))
    late, in_time = instead(RIGHT, OUTCOMES, 3, told), "in time is in time"
    assert audit(replace(late, max_backlog_ms=100_000)).findings[in_time] == []
    assert audit(replace(late, max_backlog_ms=100_001)).findings[in_time] != []


def test_a_hold_may_expire_although_an_end_came_first_when_nobody_waits_for_that_end_any_more() -> None:
    """The promotion was to expire at nine; seen when every transaction was refused for more than a minute."""
    expired = release("A", 3, 2, "EXPIRED", releasedAt="2027-01-15T09:01:40.000Z")
    late, came_first = instead(RIGHT, RELEASES, 0, *log(expired)), "a hold ends for what came first"
    assert audit(replace(late, max_backlog_ms=100_000)).findings[came_first] == []
    assert audit(replace(late, max_backlog_ms=100_001)).findings[came_first] != []


@pytest.mark.parametrize(("seconds", "right"), [(61.8, True), (62, True), (62.1, False)])
def test_who_came_after_an_end_gets_something_only_until_the_ledger_knows_of_it(
    seconds: float, right: bool
) -> None:
    """The promotion ends at 60 s, the ledger hears of it at 62 s, and O-4 comes at 61.5 s."""
    start_ms = RIGHT.records[PROMOTION_START][0].at_ms
    sent = Record(0, 6, start_ms + 61_500, None, ORDER_FOUR)
    got = answer((ORDER_PLACED, 0, 6), outcome("O-4", ("A", 1, ""), seconds=seconds))
    late = besides(besides(RIGHT, ORDER_PLACED, sent), OUTCOMES, got)
    assert audit(late).findings["too late is too late"] == []
    late = replace(late, ends_known_ms={("P", "A"): start_ms + 62_000})
    assert (audit(late).findings["too late is too late"] == []) is right


def test_a_unit_that_came_back_may_go_to_somebody_who_came_later() -> None:
    """O-3 is turned away at 12 s, O-1 gives a unit back at 20 s, O-4 takes it at 21 s."""
    later = Record(0, 6, RIGHT.records[ORDER_PLACED][0].at_ms + 15_500, None, ORDER_FOUR)
    more = besides(RIGHT, ORDER_PLACED, later)
    got = besides(more, OUTCOMES, answer((ORDER_PLACED, 0, 6), outcome("O-4", ("A", 1, ""), seconds=21)))
    assert audit(got).findings["first come first served"] == []
    never_back = instead(got, OUTCOMES, 4)
    assert audit(never_back).findings["first come first served"] != []


def test_a_unit_that_came_back_after_it_was_settled_may_be_sold_when_fluent_holds_it_again() -> None:
    """O-1 gives a unit back at 20 s, O-5 is turned away at 26 s, O-4 takes it at 31 s."""
    placed_ms, late = RIGHT.records[ORDER_PLACED][0].at_ms, instead(RIGHT, OUTCOMES, 3)
    for offset, placed, reason, seconds in ((6, ORDER_FIVE, "EXHAUSTED", 26), (7, ORDER_FOUR, "", 31)):
        late = besides(late, ORDER_PLACED, Record(0, offset, placed_ms + seconds * 1_000 - 1, None, placed))
        told = outcome("O-4" if offset == 7 else "O-5", ("A", 1, reason), seconds=seconds)
        late = besides(late, OUTCOMES, answer((ORDER_PLACED, 0, offset), told))
    served = "first come first served"
    assert audit(replace(late, settle_delay_ms=15_000)).findings[served] == []
    assert audit(replace(late, settle_delay_ms=60_000)).findings[served] != []
    assert audit(late).findings[served] != []


ORDER_FOUR, ORDER_FIVE = order("O-4", ("A", 1)), order("O-5", ("A", 1))


def test_the_rows_are_where_the_auditor_looks_for_them() -> None:
    assert (RESERVATIONS.prefix, CLAIMS.prefix) == (RESERVATION, CLAIM)
    for layout, fields in (
        (RESERVATION_LAYOUT, Reservation.__struct_fields__),
        (CLAIM_LAYOUT, ClaimRow.__struct_fields__),
    ):
        assert all(fields[place] == name for name, place in layout.items())
