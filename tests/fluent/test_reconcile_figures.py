"""What should be held: the newest request where it is kept, the report's own figures where it is not."""

from __future__ import annotations

import random
from typing import Any

import pytest

from fluent.parts import WINDOW, Part
from fluent.reconcile.expected import AskedBook, Expectation
from fluent.reconcile.findings import Seen, findings, plan_repair
from streams.ledger.fluent_requests import FluentRequest
from tests.fluent.reconcile_support import Told
from tests.fluent.support import Requests

SKU = "SKU-1"


def expected(told: Told) -> Expectation:
    [only] = told.expectations()
    return only


@pytest.mark.parametrize(
    ("status", "line", "held"),
    [
        ("ACTIVE", {"held": 80}, 80),
        ("ACTIVE", {"held": 70, "drift": 10, "driftKind": "WRONG_QUANTITY"}, 80),
        ("ACTIVE", {"held": 0, "status": "INACTIVE", "drift": 80, "driftKind": "MISSING_HOLD"}, 80),
        ("ACTIVE", {"held": 95, "drift": 15, "driftKind": "FOREIGN_CHANGE"}, 80),
        ("ACTIVE", {"held": 80, "drift": 9, "driftKind": "DUPLICATE"}, 80),
        ("ACTIVE", {"held": 100, "drift": 20, "driftKind": "SETTLE_REFUSED"}, 80),
        ("CLOSING", {"held": 40, "drift": 40, "driftKind": "RELEASE_REFUSED"}, 0),
        ("CLOSING", {"held": 0, "status": "INACTIVE", "released": 60}, 0),
        ("CLOSED", {"held": 40, "drift": 40, "driftKind": "RELEASE_REFUSED"}, 0),
        ("PENDING", {"held": 0, "status": "NONE"}, None),
    ],
)
def test_without_requests_the_report_says_what_should_be_held(
    status: str, line: dict[str, Any], held: int | None
) -> None:
    told = Told(status=status)
    told.line(SKU, 100, consumed=20, **line)
    assert expected(told).held == held


def test_a_request_that_is_newer_than_the_report_counts() -> None:
    """A settle of the last seconds is no drift, though the report does not show it yet."""
    told, requests = Told(), Requests(SKU)
    told.line(SKU, 100, 100)
    told.requests = [requests.hold(100), requests.settle(80, 20), requests.settle(65, 35)]
    assert expected(told).held == 65


def test_the_highest_number_counts_in_whatever_order_requests_are_read() -> None:
    requests = Requests(SKU)
    asked: list[FluentRequest] = [
        requests.hold(100),
        requests.settle(80, 20),
        requests.verify(80, 20),
        requests.settle(65, 35),
    ]
    for seed in range(24):
        book = AskedBook(requests.promotion)
        mixed = random.Random(seed).sample(asked, len(asked))
        mixed.append(Requests(SKU, "FLASH-2").hold(7))
        for request in mixed:
            book.take(request, 1_000 * request.number)
        known = book.by_sku[SKU]
        assert (known.newest, known.at_ms, known.hold) == (asked[-1], 4_000, asked[0])


def test_a_request_that_is_asked_again_is_as_old_as_at_first() -> None:
    request = Requests(SKU).hold(100)
    book = AskedBook(request.promotion_id)
    book.take(request, 1_000)
    book.take(request, 11_000)
    assert book.by_sku[SKU].at_ms == 1_000


def test_a_sku_that_the_report_does_not_list_is_looked_at_too() -> None:
    told, requests = Told(status="CLOSED"), Requests("SKU-2")
    told.line(SKU, 100, 0, "INACTIVE", released=100)
    told.requests = [requests.hold(5)]
    assert [(each.sku, each.held) for each in told.expectations()] == [(SKU, 0), ("SKU-2", 0)]


def test_a_hold_of_many_parts_is_made_again_one_window_of_refs_at_a_time() -> None:
    """The gateway's look-up ends at the first window that is not full: no window may be begun too early."""
    told, requests = Told(), Requests(SKU)
    told.line(SKU, 40, 0, "INACTIVE")
    told.requests = [requests.hold(40), requests.verify(40)]
    free = {f"{SKU}:STORE-{number:03d}": 2 for number in range(30)}
    wanted = expected(told)
    parts = [Part(f"{wanted.ref}-1", "P", SKU, "SOFT_RESERVE", 0, live=False, status="INACTIVE")]
    seen = Seen(parts=parts, free=free)
    assert [each.units for each in findings(wanted, seen)] == [-40]
    plan = plan_repair(wanted, seen)
    assert [create.part.number for create in plan.creates] == list(range(2, WINDOW + 1))
    assert sum(create.part.units for create in plan.creates) == 30
    assert plan.obstacles == ["5 more parts are needed: repair again"]
