"""A shop's invoices, from a CSV file of the columns of the UCI data set "Online Retail".

What those columns hold, and that a number starting with C is a cancellation, is the data set's own
description (D. Chen, 2015); what else does not describe a sale is left out and counted.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

COLUMNS = ("InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID")
SERVICES = frozenset(
    {"POST", "D", "M", "S", "B", "DOT", "C2", "CRUK", "AMAZONFEE", "BANK CHARGES", "CARRIAGE"}
)
"""Stock codes of the data set that are no products: postage, discounts, manual entries, samples, bad debts,
fees. Vouchers, `gift_0001_…`, are none either."""

DATE_FORMATS = ("%m/%d/%y %H:%M", "%m/%d/%Y %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M")
"""The excerpt's own, and those in which the data set is passed on elsewhere."""

SHOWN = 3
"""Unreadable lines that are told with their numbers."""

WHOLE_NUMBER = re.compile(r"[+-]?\d{1,9}")


class NoOrdersError(Exception):
    """The file holds nothing that could be replayed; the text is a sentence for the person who named it."""


class Skip(StrEnum):
    """Why a line is left out, in order of precedence; the text is what people read."""

    UNREADABLE = "unreadable"
    SERVICE = "not a product (postage, discount, fee, manual entry)"
    NEGATIVE = "negative quantity outside a cancellation (breakage, correction)"
    POSITIVE = "positive quantity in a cancellation"
    NO_UNITS = "no units"
    NO_PRICE = "no price (a correction of the stock, nobody bought it)"


@dataclass(frozen=True, slots=True)
class Line:
    """So many units of a product; positive in cancellations too."""

    sku: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Invoice:
    """What a customer bought, or gave back, at one time. `at_s` counts from the file's first invoice."""

    number: str
    customer: str
    at_s: float
    lines: tuple[Line, ...]
    cancels: bool = False


@dataclass(frozen=True, slots=True)
class Book:
    """The invoices of a file by time, and what became of its lines; `unreadable` tells of the first few."""

    invoices: tuple[Invoice, ...]
    lines: int
    skipped: Mapping[Skip, int]
    unreadable: tuple[str, ...] = ()

    @property
    def products(self) -> int:
        """Different products that were sold or given back."""
        return len({line.sku for invoice in self.invoices for line in invoice.lines})

    @property
    def repeating(self) -> int:
        """Invoices that list a product on more than one line."""
        return sum(len({line.sku for line in each.lines}) < len(each.lines) for each in self.invoices)


def read_book(text: str) -> Book:
    """The invoices in a CSV file's text. Raises NoOrdersError when the columns, or all sales, are missing."""
    rows = csv.DictReader(io.StringIO(text))
    missing = [column for column in COLUMNS if column not in (rows.fieldnames or ())]
    if missing:
        raise NoOrdersError(
            f"The first line does not name the column {missing[0]}; it needs {', '.join(COLUMNS)}."
        )
    kept: dict[str, list[tuple[dict[str, str], datetime]]] = {}
    skipped: Counter[Skip] = Counter()
    unreadable: list[str] = []
    lines = 0
    for row in rows:
        lines += 1
        at, fault = _time(row["InvoiceDate"]), _fault_of(row)
        reason = _why_not(row) if fault is None else Skip.UNREADABLE
        if fault is not None:
            unreadable.append(f"line {rows.line_num}: {fault}")
        if at is None or reason is not None:
            skipped[reason or Skip.UNREADABLE] += 1
        else:
            kept.setdefault(row["InvoiceNo"].strip(), []).append((row, at))
    invoices = tuple(_by_time(kept))
    shown = tuple(unreadable[:SHOWN])
    if not any(not invoice.cancels for invoice in invoices):
        examples = "".join(f" {each[0].upper()}{each[1:]}." for each in shown)
        raise NoOrdersError(f"There is not one line with a product that somebody bought.{examples}")
    return Book(invoices, lines, skipped, shown)


def _fault_of(row: Mapping[str, str | None]) -> str | None:
    """What of a row cannot be read, in words; None where everything can."""
    for name in ("InvoiceNo", "StockCode"):
        if not row[name]:
            return f"{name} is missing"
    if not WHOLE_NUMBER.fullmatch((row["Quantity"] or "").strip()):
        return f"Quantity {row['Quantity'] or ''!r} is no whole number"
    if _time(row["InvoiceDate"]) is None:
        return f"InvoiceDate {row['InvoiceDate'] or ''!r} is no date like 12/1/10 8:26 or 2010-12-01 08:26"
    try:
        float(row["UnitPrice"] or "")
    except ValueError:
        return f"UnitPrice {row['UnitPrice'] or ''!r} is no number"
    return None


def _why_not(row: Mapping[str, str]) -> Skip | None:
    """Why a readable row is no sale, None where it is one."""
    number, code, units = row["InvoiceNo"].strip(), row["StockCode"].strip(), int(row["Quantity"])
    if code.upper() in SERVICES or code.lower().startswith("gift_"):
        return Skip.SERVICE
    if units == 0:
        return Skip.NO_UNITS
    if number.startswith("C") != (units < 0):
        return Skip.POSITIVE if units > 0 else Skip.NEGATIVE
    return Skip.NO_PRICE if float(row["UnitPrice"]) <= 0 else None


def _time(text: str | None) -> datetime | None:
    for form in DATE_FORMATS:
        try:
            return datetime.strptime((text or "").strip(), form)
        except ValueError:
            continue
    return None


def _by_time(kept: Mapping[str, Sequence[tuple[dict[str, str], datetime]]]) -> Iterator[Invoice]:
    """Invoices by the time of their first line; those of one minute stay in the file's order."""
    if not kept:
        return
    start = min(rows[0][1] for rows in kept.values())
    for number, rows in sorted(kept.items(), key=lambda item: item[1][0][1]):
        lines = tuple(Line(row["StockCode"].strip(), abs(int(row["Quantity"]))) for row, _ in rows)
        customer = (rows[0][0]["CustomerID"] or "").strip()
        yield Invoice(number, customer, (rows[0][1] - start).total_seconds(), lines, number.startswith("C"))
