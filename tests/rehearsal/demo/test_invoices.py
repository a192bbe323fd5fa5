"""Which lines of a shop's book are sales, which are cancellations, and which are neither."""

from __future__ import annotations

import pytest

from rehearsal.demo.invoices import Book, NoOrdersError, Skip, read_book
from rehearsal.demo.plan import MORNING

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
SOLD = "1,SKU-1,a,2,12/1/10 8:26,2.55,17850,United Kingdom"


def book(*rows: str) -> Book:
    return read_book("\n".join([HEADER, *rows]))


@pytest.fixture(scope="module")
def morning() -> Book:
    return read_book(MORNING.read_text())


def test_the_real_morning_is_read_whole_and_what_is_left_out_is_counted(morning: Book) -> None:
    assert morning.lines == 999
    assert morning.skipped == {Skip.SERVICE: 3, Skip.NO_PRICE: 1}
    kept = sum(len(invoice.lines) for invoice in morning.invoices)
    assert kept == 999 - 4
    # 66 numbers, of which one cancels a discount only and one is a correction of the stock.
    assert len(morning.invoices) == 64
    assert [each.number for each in morning.invoices if each.cancels] == ["C536383", "C536391", "C536506"]


def test_the_real_morning_lists_products_twice_and_they_stay_two_lines(morning: Book) -> None:
    assert morning.repeating == 7
    twice = next(
        each for each in morning.invoices if len({line.sku for line in each.lines}) < len(each.lines)
    )
    assert len(twice.lines) > len({line.sku for line in twice.lines})


def test_invoices_come_by_time_counted_from_the_first_one(morning: Book) -> None:
    times = [invoice.at_s for invoice in morning.invoices]
    assert times == sorted(times)
    assert times[0] == 0
    assert times[-1] == (4 * 60 + 17) * 60


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("2,POST,POSTAGE,1,12/1/10 8:26,18.0,1,France", Skip.SERVICE),
        ("2,m,Manual,1,12/1/10 8:26,18.0,1,France", Skip.SERVICE),
        ("2,gift_0001_20,Voucher,1,12/1/10 8:26,18.0,1,France", Skip.SERVICE),
        ("C2,D,Discount,-1,12/1/10 8:26,27.5,1,France", Skip.SERVICE),
        ("2,SKU-1,broken,-3,12/1/10 8:26,2.55,1,France", Skip.NEGATIVE),
        ("C2,SKU-1,a,3,12/1/10 8:26,2.55,1,France", Skip.POSITIVE),
        ("2,SKU-1,a,0,12/1/10 8:26,2.55,1,France", Skip.NO_UNITS),
        ("2,SKU-1,,56,12/1/10 8:26,0,,France", Skip.NO_PRICE),
        ("2,SKU-1,a,two,12/1/10 8:26,2.55,1,France", Skip.UNREADABLE),
        ("2,SKU-1,a,2.5,12/1/10 8:26,2.55,1,France", Skip.UNREADABLE),
        ("2,SKU-1,a,2,yesterday,2.55,1,France", Skip.UNREADABLE),
        ("2,SKU-1,a,2,12/1/10 8:26,cheap,1,France", Skip.UNREADABLE),
        (",SKU-1,a,2,12/1/10 8:26,2.55,1,France", Skip.UNREADABLE),
        ("2,SKU-1", Skip.UNREADABLE),
    ],
)
def test_a_line_that_is_no_sale_is_left_out_with_its_reason(row: str, why: Skip) -> None:
    read = book(SOLD, row)
    assert read.skipped == {why: 1}
    assert [invoice.number for invoice in read.invoices] == ["1"]


def test_a_cancellation_counts_its_units_as_positive() -> None:
    read = book(SOLD, "C2,SKU-1,a,-1,12/1/10 8:27,2.55,17850,United Kingdom")
    assert [(each.cancels, each.lines[0].quantity) for each in read.invoices] == [(False, 2), (True, 1)]


@pytest.mark.parametrize(
    "date", ["12/1/10 8:26", "12/1/2010 8:26", "2010-12-01 08:26:00", "2010-12-01 08:26"]
)
def test_dates_are_read_in_each_form_in_which_the_data_set_is_passed_on(date: str) -> None:
    read = book(f"1,SKU-1,a,2,{date},2.55,1,France", "2,SKU-1,a,2,12/1/10 8:27,2.55,1,France")
    assert [invoice.at_s for invoice in read.invoices] == [0, 60]


def test_a_file_without_a_needed_column_is_refused_by_its_name() -> None:
    with pytest.raises(NoOrdersError, match="UnitPrice"):
        read_book("InvoiceNo,StockCode,Description,Quantity,InvoiceDate\n")


def test_an_unreadable_line_is_told_with_its_number_and_why() -> None:
    read = book(SOLD, "2,SKU-1,a,2,28.11.2026,2.55,1,DE", "3,SKU-1,a,two,12/1/10 8:26,2.55,1,DE")
    assert read.unreadable == (
        "line 3: InvoiceDate '28.11.2026' is no date like 12/1/10 8:26 or 2010-12-01 08:26",
        "line 4: Quantity 'two' is no whole number",
    )


def test_a_file_in_which_no_date_can_be_read_is_refused_with_its_first_lines() -> None:
    with pytest.raises(NoOrdersError, match=r"Line 2: InvoiceDate 'today'.* Line 3: .* Line 4: [^L]*$"):
        book(*(f"{number},SKU-1,a,2,today,2.55,1,DE" for number in range(5)))


def test_a_file_without_a_sale_is_refused() -> None:
    with pytest.raises(NoOrdersError, match="not one line"):
        book("C2,SKU-1,a,-1,12/1/10 8:27,2.55,17850,United Kingdom")
