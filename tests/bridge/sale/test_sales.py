"""What a bridge knows of sales: the newest figures, whoever tells them and in whatever order."""

from __future__ import annotations

import pytest

from bridge.sale.sales import LATE_MS, Sales
from bridge.sale.views import head_of, sale_event
from schemas.topics import ORDER_OUTCOMES, PROMOTION_RESULTS, RECONCILIATION_REPORTS, SALE_FIGURES
from tests.bridge.sale.told import NOW_MS, Record, arrival, figures, line, outcome, report, results, told


@pytest.mark.parametrize("late", [False, True])
def test_the_newest_figures_hold_in_whatever_order_figures_and_reports_come(late: bool) -> None:
    newer = (SALE_FIGURES, figures("A", consumed=7, seconds=5))
    older = (RECONCILIATION_REPORTS, report(line("A", held=8, drift=2), seconds=4))
    sales = Sales()
    for topic, value in (newer, older) if late else (older, newer):
        sales.arrived(arrival(topic, value))
        sales.settle(NOW_MS, is_caught_up=True)
    known = sales.sale("P").lines["A"]
    assert (known.consumed, known.held, known.drift) == (7, 8, 2)


def test_a_report_that_is_newer_than_the_figures_corrects_them() -> None:
    sales = told(
        (SALE_FIGURES, figures("A", consumed=7, seconds=5)),
        (RECONCILIATION_REPORTS, report(line("A") | {"consumed": 6, "cancelled": 1}, seconds=6)),
    )
    assert (sales.sale("P").lines["A"].consumed, sales.sale("P").lines["A"].cancelled) == (6, 1)


def test_sums_are_those_of_the_lines_whatever_happened_to_them() -> None:
    sales = told(
        (PROMOTION_RESULTS, results("A", "B", refused=["C"])),
        (SALE_FIGURES, figures("A", consumed=3)),
        (SALE_FIGURES, figures("A", consumed=9, rejectedUnits=2, seconds=1)),
        (SALE_FIGURES, figures("B", consumed=4, status="CLOSED", released=6, seconds=2)),
    )
    sale = sales.sale("P")
    assert [sale.sums[name] for name in ("reserved", "consumed", "released")] == [20, 13, 6]
    assert (sale.left, sale.sums["rejected_units"], len(sale.lines)) == (1, 2, 3)


@pytest.mark.parametrize(
    ("records", "status"),
    [
        ([(SALE_FIGURES, figures("A")), (SALE_FIGURES, figures("B", status="PENDING"))], "PENDING"),
        ([(SALE_FIGURES, figures("A")), (SALE_FIGURES, figures("B", status="REJECTED"))], "ACTIVE"),
        ([(SALE_FIGURES, figures("A")), (SALE_FIGURES, figures("B", status="CLOSED"))], "CLOSING"),
        ([(SALE_FIGURES, figures("A", status="CLOSING"))], "CLOSING"),
        (
            [(SALE_FIGURES, figures("A", status="CLOSED")), (SALE_FIGURES, figures("B", status="PENDING"))],
            "CLOSING",
        ),
        ([(SALE_FIGURES, figures("A", status="CLOSED"))], "CLOSED"),
        ([(SALE_FIGURES, figures("A", status="REJECTED"))], "PENDING"),
        (
            [(SALE_FIGURES, figures("A", status="REJECTED")), (PROMOTION_RESULTS, results(refused=["A"]))],
            "REJECTED",
        ),
        ([(PROMOTION_RESULTS, results("A", refused=["B"]))], "ACTIVE"),
        ([(PROMOTION_RESULTS, results(refused=["B"]))], "REJECTED"),
        ([(RECONCILIATION_REPORTS, report(line("A"), status="CLOSING"))], "CLOSING"),
        ([(RECONCILIATION_REPORTS, report(line("A"), kind="FINAL", status="CLOSED"))], "CLOSED"),
        ([], "UNKNOWN"),
    ],
)
def test_a_sales_status_is_what_its_skus_make_it(records: list[Record], status: str) -> None:
    assert told(*records).sale("P").status == status


def test_figures_that_do_not_say_where_a_sale_stands_are_none() -> None:
    """The first page of two; a status is told with the last."""
    sales = told((RECONCILIATION_REPORTS, report(line("A"), pages=2)))
    assert sales.sale("P").status == "UNKNOWN" and sales.sale("P").figures() is None


def test_what_needs_a_person_is_named_with_its_remedy_and_goes_when_it_is_over() -> None:
    stuck = line("A", waitsFor="RELEASE")
    drifting = line("B", drift=3, driftKind="WRONG_QUANTITY", driftAction="Find out who writes.")
    sales = told(
        (PROMOTION_RESULTS, results("A", "B", refused=["C"])),
        (RECONCILIATION_REPORTS, report(stuck, drifting, line("C"), status="CLOSING")),
    )
    lines = sales.sale("P").lines
    assert "has not confirmed the end" in lines["A"].problem and "flashsale check" in lines["A"].remedy
    assert lines["B"].problem == "Fluent differs by 3 units"
    assert lines["B"].remedy.startswith("The hold,") and lines["B"].remedy.endswith("Find out who writes.")
    assert lines["C"].problem == "Not set aside, INSUFFICIENT_INVENTORY: 4 are available"
    assert sales.sale("P").troubled == 3

    sales.arrived(arrival(SALE_FIGURES, figures("A", status="CLOSED", seconds=9)))
    sales.arrived(arrival(RECONCILIATION_REPORTS, report(line("B"), line("C"), seconds=9)))
    sales.settle(NOW_MS, is_caught_up=True)
    lines = sales.sale("P").lines
    assert not lines["A"].problem and not lines["A"].waits_for and not lines["B"].problem
    assert lines["C"].problem and sales.sale("P").troubled == 1


def test_a_sku_that_waits_for_its_units_to_be_booked_is_no_problem() -> None:
    sales = told((RECONCILIATION_REPORTS, report(line("A", waitsFor="BOOKING"), status="CLOSING")))
    sale = sales.sale("P")
    assert not sale.troubled
    event = sale_event(sale, sales.rates("P"), None, NOW_MS, "")
    assert "stay held until they are booked" in event.waiting[0] and event.fluent.state == "ok"


def test_fluents_health_is_told_by_what_it_has_not_answered_and_where_it_differs() -> None:
    def health(*records: Record) -> tuple[str, str]:
        sales = told(*records)
        found = sale_event(sales.sale("P"), sales.rates("P"), None, NOW_MS, "").fluent
        return found.state, found.says

    assert health((RECONCILIATION_REPORTS, report(line("A"))))[0] == "ok"
    drift = report(line("A", drift=3), line("B", drift=2))
    assert health((RECONCILIATION_REPORTS, drift)) == ("trouble", "Fluent differs by 5 units")
    late = report(line("A", waitsFor="HOLD"))
    assert health((RECONCILIATION_REPORTS, late)) == (
        "trouble",
        "Fluent has not answered in time about 1 SKU",
    )
    assert health((SALE_FIGURES, figures("A", status="PENDING")))[0] == "waiting"
    turned_away = (ORDER_OUTCOMES, outcome("O", "FLUENT_UNAVAILABLE"))
    assert "did not answer" in health((RECONCILIATION_REPORTS, report(line("A"))), turned_away)[1]


def test_orders_are_counted_once_by_their_first_reason_and_cancels_not_at_all() -> None:
    sales = told(
        (SALE_FIGURES, figures("A")),
        (ORDER_OUTCOMES, outcome("1")),
        (ORDER_OUTCOMES, outcome("2", "EXHAUSTED", "NO_RESERVATION")),
        (ORDER_OUTCOMES, outcome("1", revision=2)),
        (ORDER_OUTCOMES, {**outcome("9"), "consumeResults": [], "reason": "NO_ORDER"}),
    )
    assert dict(sales.rates("P").totals) == {"": 1, "EXHAUSTED": 1}


def test_the_past_that_is_read_at_the_start_is_no_speed() -> None:
    sales = Sales()
    sales.arrived(arrival(ORDER_OUTCOMES, outcome("1")))
    sales.settle(NOW_MS, is_caught_up=True)
    sales.tick()
    assert sales.rates("P").per_second == 0 and sales.rates("P").totals[""] == 1
    sales.arrived(arrival(ORDER_OUTCOMES, outcome("2"), NOW_MS + 900))
    sales.tick()
    assert sales.rates("P").per_second > 0


def test_outcomes_that_come_before_anything_else_of_their_sale_are_counted() -> None:
    sales = told((ORDER_OUTCOMES, outcome("1")), (SALE_FIGURES, figures("A")))
    assert sales.rates("P").totals[""] == 1


def test_reading_the_topics_once_more_counts_no_order_twice() -> None:
    sales = told((SALE_FIGURES, figures("A")), (ORDER_OUTCOMES, outcome("1")))
    sales.begin()
    sales.arrived(arrival(ORDER_OUTCOMES, outcome("1")))
    assert sales.rates("P").totals[""] == 1


def test_a_page_that_is_not_ours_is_told_and_hides_no_other() -> None:
    foreign = report(line("A")) | {"lines": [{"sku": "A"}], "pages": 2}
    sales = told(
        (RECONCILIATION_REPORTS, foreign),
        (RECONCILIATION_REPORTS, report(line("B"), page=2, pages=2)),
        settled=False,
    )
    assert set(sales.current("P").lines) == {"B"}  # somebody asks before the second is over
    assert len(sales.settle(NOW_MS, is_caught_up=True)) == 1
    assert set(sales.sale("P").lines) == {"B"} and not sales.settle(NOW_MS, is_caught_up=True)


def test_a_sale_whose_time_is_over_and_that_nothing_closes_needs_a_person() -> None:
    """As where no worker runs: then no figures come that would say so."""
    sales = told((SALE_FIGURES, figures("A")))
    expires_ms = NOW_MS + 7_200_000
    sales.settle(expires_ms + LATE_MS, is_caught_up=True)
    sale = sales.sale("P")
    sale.changes()
    assert not head_of(sale).alarm
    sales.settle(expires_ms + LATE_MS + 1, is_caught_up=True)
    assert "nothing closes it" in head_of(sale).alarm and sale.changes() == set()
    sales.arrived(arrival(SALE_FIGURES, figures("A", status="CLOSING", seconds=9), expires_ms))
    sales.settle(expires_ms + LATE_MS + 2, is_caught_up=True)
    assert not head_of(sale).alarm


def test_a_head_says_how_a_sale_stands_as_a_whole() -> None:
    sales = told(
        (PROMOTION_RESULTS, results("A", "B")),
        (SALE_FIGURES, figures("A", consumed=10)),
        (RECONCILIATION_REPORTS, report(line("A") | {"consumed": 10}, line("B"))),
    )
    head = head_of(sales.sale("P"))
    assert (head.skus, head.sold_out, head.troubled, head.left) == (2, 1, 0, 10)
    assert (head.report_kind, head.expires_at) == ("INTERIM", "2027-01-15T10:00:00.000Z")
    assert head.figures_at == "2027-01-15T08:00:00.000Z"
