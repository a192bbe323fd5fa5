"""Which request goes next: what gives stock back or takes it goes before what follows it or looks at it."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from fluent.backlog import Backlog, Entry, number_of, reservation_of
from streams.ledger.fluent_requests import ALONE, FluentRequest, VerifyPage
from tests.fluent.support import Requests

KINDS = ("release", "hold", "settle", "verify")


def entry(kind: str, sku: str, promotion: str = "P") -> Entry:
    requests = Requests(sku, promotion)
    made: dict[str, FluentRequest] = {
        "release": requests.release(),
        "hold": requests.hold(1),
        "settle": requests.settle(1, 1),
        "verify": requests.verify(1),
    }
    return Entry(made[kind], lambda _: None, None)


def all_of(backlog: Backlog, busy: tuple[str, ...] = ()) -> list[Entry]:
    return list(iter(lambda: worked_on(backlog, busy), None))


def worked_on(backlog: Backlog, busy: tuple[str, ...] = ()) -> Entry | None:
    """What goes next, after it is done."""
    entry = backlog.next(busy)
    if entry is not None:
        backlog.free(entry.reservation[1])
    return entry


def test_a_release_goes_before_a_hold_before_a_settle_before_a_verify() -> None:
    backlog = Backlog()
    entries = [entry(kind, f"{kind}-{number}") for number in range(3) for kind in reversed(KINDS)]
    for each in random.Random(1).sample(entries, len(entries)):
        backlog.put(each)
    ranks = [each.rank for each in all_of(backlog)]
    assert ranks == sorted(ranks) and len(ranks) == len(entries)


def test_requests_of_one_kind_go_in_the_order_in_which_they_came() -> None:
    backlog = Backlog()
    entries = [entry("settle", f"S-{number}") for number in range(5)]
    for each in entries:
        backlog.put(each)
    assert all_of(backlog) == entries


def test_of_one_sku_the_release_of_one_promotion_goes_before_the_hold_of_another() -> None:
    backlog = Backlog()
    hold, release = entry("hold", "A", "NEXT"), entry("release", "A", "LAST")
    backlog.put(hold)
    backlog.put(release)
    assert all_of(backlog) == [release, hold]


def test_a_busy_sku_is_passed_over_until_it_is_free() -> None:
    backlog = Backlog()
    busy, other = entry("release", "BUSY"), entry("verify", "OTHER")
    backlog.put(busy)
    backlog.put(other)
    assert all_of(backlog, ("BUSY",)) == [other]
    backlog.free("BUSY")
    assert all_of(backlog) == [busy]


@given(
    st.lists(
        st.tuples(st.sampled_from(KINDS), st.sampled_from("ABC"), st.sampled_from("PQ"), st.booleans()),
        max_size=30,
    )
)
def test_whatever_comes_everything_is_taken_out_once(steps: list[tuple[str, str, str, bool]]) -> None:
    backlog = Backlog()
    waiting: dict[tuple[str, str], Entry] = {}
    for kind, sku, promotion, takes in steps:
        new = entry(kind, sku, promotion)
        assert backlog.take(new.reservation) is waiting.pop(new.reservation, None)
        backlog.put(new)
        waiting[new.reservation] = new
        if takes and (first := worked_on(backlog)) is not None:
            assert waiting.pop(first.reservation) is first
            assert all(first.rank <= each.rank for each in waiting.values())
        assert len(backlog) == len(waiting)
    rest = all_of(backlog)
    assert {each.reservation for each in rest} == waiting.keys() and len(backlog) == 0


def test_what_is_verified_alone_stands_for_its_reservation_only() -> None:
    """Seen: of two promotions on a SKU one was taken for a repeat of the other, as was a newer line."""
    one, two = Requests("A", "P"), Requests("A", "Q")
    first, other, newer = (VerifyPage(5, ALONE, [each.verify(1)]) for each in (one, two, one))
    assert reservation_of(first) != reservation_of(other)
    assert reservation_of(first) == reservation_of(newer)
    assert number_of(newer) > number_of(first)
