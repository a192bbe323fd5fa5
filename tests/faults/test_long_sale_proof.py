"""The proof of a long sale finds what is wrong: each of its checks is given a sale with one thing amiss."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest

from schemas.topics import ORDER_CANCELLED, ORDER_PLACED
from tests.faults.long_sale.events import POISONED, REPEATED, UNITS_AN_ORDER, events, stock_for
from tests.faults.long_sale.proof import Evidence, Source, findings, misreported
from tests.support.audit import order
from tests.support.system import Message

PLACED = [order("O-1", "P", ("A", 1), ("B", 1)), order("O-2", "P", ("A", 2)), order("O-2", "P", ("A", 1))]
STOCK = {("P", "A"): 2, ("P", "B"): 5}


def sent(topic: str, offset: int, value: bytes) -> tuple[Source, Message]:
    return (topic, "0", str(offset)), Message(0, offset, None, value, {}, 0)


def answer(source: Source, value: bytes, **more: str) -> Message:
    headers = dict(zip(("source-topic", "source-partition", "source-offset"), source, strict=True))
    return Message(0, 0, None, value, {**headers, **more}, 0)


def outcome(ref: str, *lines: tuple[str, int, str], revision: int = 1, **more: Any) -> bytes:
    """Lines are (SKU, quantity, reason); without a reason the line is taken."""
    results = [
        {"sku": sku, "quantity": quantity, "consumed": not reason, **({"reason": reason} if reason else {})}
        for sku, quantity, reason in lines
    ]
    whole = {"orderRef": ref, "promotionId": "P", "outcome": "ACCEPTED", "consumeResults": results}
    return json.dumps({**whole, "revision": revision, **more}).encode()


@pytest.fixture
def right() -> Evidence:
    """An order, another one with its conflict and its repeat, a cancel, and bytes that say nothing."""
    first, second, third = (json.dumps(each).encode() for each in PLACED)
    cancel = json.dumps({"order": {"ref": "O-1", "promotionId": "P"}}).encode()
    placed = dict(
        sent(ORDER_PLACED, at, value) for at, value in enumerate([first, third, second, third, b"{"])
    )
    sources = list(placed)
    cancelled = dict([sent(ORDER_CANCELLED, 0, cancel)])
    given = outcome("O-2", ("A", 1, ""))
    lines = [{"sku": "A", "quantity": 1, "cancelled": True}]
    outcomes = [
        answer(sources[0], outcome("O-1", ("A", 1, ""), ("B", 1, ""))),
        answer(sources[1], given),
        answer(sources[3], given),
        answer(
            next(iter(cancelled)),
            outcome("O-1", ("A", 1, ""), ("B", 1, ""), revision=2, cancelResults=lines),
        ),
    ]
    dead = [answer(sources[2], second, reason="CONFLICT"), answer(sources[4], b"{", reason="INVALID")]
    return Evidence(placed | cancelled, outcomes, dead, STOCK)


def test_a_sale_in_which_all_is_right_has_no_findings(right: Evidence) -> None:
    assert findings(right) == []


def amiss(right: Evidence) -> Iterator[tuple[str, Evidence]]:
    """What is wrong, as a word of the finding, and the sale."""
    outcomes, dead = right.outcomes, right.dead
    source = ("order-placed", "0", "1")
    yield "0 answers", replace(right, outcomes=outcomes[1:])
    yield "2 answers", replace(right, outcomes=[*outcomes, outcomes[0]])
    yield "nothing was sent", replace(right, dead=[*dead, answer(("x", "0", "0"), b"{", reason="INVALID")])
    yield "is about", replace(right, outcomes=[*outcomes[:2], answer(source, outcome("O-9")), outcomes[3]])
    changed = answer(source, outcome("O-2", ("A", 1, ""), decidedAt="later"))
    yield "told in 2 ways", replace(right, outcomes=[outcomes[0], changed, *outcomes[2:]])
    yield "is a dead letter", replace(right, dead=[dead[0], replace(dead[1], value=b"[")])
    yield "is a dead letter", replace(right, dead=[dead[0], answer(source, b"{", reason="CONFLICT")])
    both = answer(("order-placed", "0", "2"), outcomes[1].value)
    yield "and refused are", replace(right, outcomes=[*outcomes, both], dead=dead[1:])
    half = outcome("O-1", ("A", 1, ""), ("B", 1, "INCOMPLETE_ORDER"))
    yield "all-or-nothing", replace(right, outcomes=[replace(outcomes[0], value=half), *outcomes[1:]])
    yield "units were given", replace(right, stock={("P", "A"): 0, ("P", "B"): 5})


def test_whatever_is_amiss_is_found(right: Evidence) -> None:
    for word, wrong in amiss(right):
        assert any(word in finding for finding in findings(wrong)), (word, findings(wrong))


def test_a_report_that_does_not_add_up_is_found(right: Evidence) -> None:
    first = {"sku": "A", "reserved": 2, "consumed": 1, "released": 1}
    second = {"sku": "B", "reserved": 5, "consumed": 1, "released": 4}
    assert list(misreported(right, "P", {"lines": [first, second]})) == []
    assert len(list(misreported(right, "P", {"lines": [first]}))) == 1
    assert len(list(misreported(right, "P", {"lines": [{**first, "released": 2}, second]}))) == 1


def test_a_sale_has_events_of_every_kind_and_is_the_same_for_the_same_seed() -> None:
    made = list(events(2_000, 13))
    assert made == list(events(2_000, 13)) != list(events(2_000, 14))
    values = [event.value for event in made]
    assert len(values) - len(set(values)) > 2_000 * REPEATED / 2
    assert sum(b"ref" not in value for value in values) > 2_000 * POISONED / 3
    assert {event.topic for event in made} == {ORDER_PLACED, ORDER_CANCELLED}
    kinds = {(event.key or b"-")[:1] for event in islice(made, 200)}
    assert kinds >= {b"O", b"C", b"-"}


def test_some_skus_of_a_sale_sell_out_and_none_has_nothing() -> None:
    stock = stock_for(2_000).values()
    assert min(stock) > 0 and sum(stock) < 2_000 * UNITS_AN_ORDER
