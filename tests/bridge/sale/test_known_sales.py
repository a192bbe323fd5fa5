"""Which sales a bridge knows, and what comes of those that it has forgotten."""

from __future__ import annotations

import pytest

from bridge.sale import sales as sales_module
from bridge.sale.sales import KEEP_MS, SILENT_MS, Sales
from schemas.topics import ORDER_OUTCOMES, PROMOTION_RESULTS, RECONCILIATION_REPORTS, SALE_FIGURES
from tests.bridge.sale.told import NOW_MS, arrival, figures, line, outcome, report, results, told


def test_nothing_of_the_past_is_thrown_away_or_read_before_all_of_it_is_here() -> None:
    """A SKU that was refused two hours ago tells nothing about whether its sale is over."""
    long_ago = NOW_MS - 2 * KEEP_MS
    sales = told((SALE_FIGURES, figures("A", status="REJECTED")), at_ms=long_ago, settled=False)
    assert not sales.settle(NOW_MS, is_caught_up=False)
    sales.arrived(arrival(SALE_FIGURES, figures("B"), NOW_MS - KEEP_MS - 1))
    sales.settle(NOW_MS, is_caught_up=True)
    assert set(sales.sale("P").lines) == {"A", "B"}


def test_a_sale_that_is_over_goes_after_an_hour_and_one_that_runs_stays_for_days() -> None:
    sales = told((SALE_FIGURES, figures("A", "OVER", "CLOSED")), (SALE_FIGURES, figures("A", "RUNS")))
    sales.settle(NOW_MS + KEEP_MS, is_caught_up=True)
    assert [sale.id for sale in sales] == ["OVER", "RUNS"]
    sales.settle(NOW_MS + KEEP_MS + 1, is_caught_up=True)
    assert [sale.id for sale in sales] == ["RUNS"] and sales.gone == {"OVER"}
    sales.settle(NOW_MS + SILENT_MS + 1, is_caught_up=True)
    assert not list(sales)


def test_a_late_order_of_a_forgotten_sale_does_not_make_one_sku_of_it_the_sale() -> None:
    """Its figures come at once, those of the other SKUs with the next report."""
    closed = [(SALE_FIGURES, figures(sku, status="CLOSED", consumed=4, released=6)) for sku in "AB"]
    sales = told(*closed)
    later_ms = NOW_MS + KEEP_MS + 1
    sales.settle(later_ms, is_caught_up=True)
    late = figures("A", status="CLOSED", consumed=4, released=6, rejectedOrders=1, seconds=9)
    sales.arrived(arrival(SALE_FIGURES, late, later_ms))
    sales.settle(later_ms, is_caught_up=True)
    assert sales.sale("P").figures() is None and not list(sales)
    final = report(line("A"), line("B"), kind="FINAL", status="CLOSED", seconds=10)
    sales.arrived(arrival(RECONCILIATION_REPORTS, final, later_ms))
    sales.arrived(arrival(SALE_FIGURES, late, later_ms))
    sales.settle(later_ms, is_caught_up=True)
    assert set(sales.sale("P").lines) == {"A", "B"}


def test_a_repeated_start_of_a_forgotten_sale_does_not_show_it_as_on_sale() -> None:
    sales = told((PROMOTION_RESULTS, results("A")), (SALE_FIGURES, figures("A", status="CLOSED")))
    later_ms = NOW_MS + KEEP_MS + 1
    sales.settle(later_ms, is_caught_up=True)
    sales.arrived(arrival(PROMOTION_RESULTS, results("A"), later_ms))
    sales.settle(later_ms, is_caught_up=True)
    assert not list(sales)


def test_names_of_forgotten_sales_are_bounded_and_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sales_module, "MAX_OVER", 1)
    over = [figures("A", promotion, "CLOSED") for promotion in ("P", "Q")]
    sales = told(*((SALE_FIGURES, each) for each in over))
    sales.settle(NOW_MS + KEEP_MS + 1, is_caught_up=True)
    for each in over:
        sales.arrived(arrival(SALE_FIGURES, each))
    assert [sale.id for sale in sales] == ["P"]
    sales.begin()
    sales.arrived(arrival(SALE_FIGURES, over[1]))
    assert [sale.id for sale in sales] == ["P", "Q"]


def test_there_are_only_so_many_sales_and_lines_and_those_that_are_over_go_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sales_module, "MAX_SALES", 2)
    monkeypatch.setattr(sales_module, "MAX_LINES", 3)
    sales = Sales()
    for number, (name, status) in enumerate([("OLD", "ACTIVE"), ("OVER", "CLOSED"), ("NEW", "ACTIVE")]):
        sales.arrived(arrival(SALE_FIGURES, figures("A", name, status), NOW_MS + number))
    sales.settle(NOW_MS, is_caught_up=False)
    assert [sale.id for sale in sales] == ["OLD", "NEW"]
    for sku in "BC":
        sales.arrived(arrival(SALE_FIGURES, figures(sku, "NEW"), NOW_MS + 9))
    sales.settle(NOW_MS, is_caught_up=False)
    assert [sale.id for sale in sales] == ["NEW"]
    for number in range(20):
        sales.arrived(arrival(ORDER_OUTCOMES, outcome("1", promotion=f"NONE-{number}")))
    assert sum(bool(sales.rates(f"NONE-{number}").totals) for number in range(20)) == 4


def test_any_number_of_sales_becomes_known_between_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """As at a start, where all of the past comes at once."""
    monkeypatch.setattr(sales_module, "MAX_SALES", 2)
    sales = Sales()
    for number in range(9):
        sales.arrived(arrival(SALE_FIGURES, figures("A", f"P{number}"), NOW_MS + number))
        sales.arrived(arrival(ORDER_OUTCOMES, outcome("1", promotion=f"P{number}"), NOW_MS + number))
    sales.settle(NOW_MS, is_caught_up=True)
    assert [sale.id for sale in sales] == ["P7", "P8"]
    assert [sales.rates(sale.id).totals[""] for sale in sales] == [1, 1]
