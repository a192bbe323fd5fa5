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

WHOLE_NUMBER = re.compile(r"[+-]?\d{1,9}")


class NoOrdersError(Exception):
    """The file holds nothing that could be replayed; the text is a sentence for who named it."""


class Skip(StrEnum):
    """Why a line is left out, in order of precedence; the text is what people read."""

    UNREADABLE = "unreadable (a quantity or date that is none, a field missing)"
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
    """The invoices of a file by time, and what became of its lines."""

    invoices: tuple[Invoice, ...]
    lines: int
    skipped: Mapping[Skip, int]

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
    lines = 0
    for row in rows:
        lines += 1
        at = _time(row["InvoiceDate"])
        reason = Skip.UNREADABLE if at is None else _why_not(row)
        if at is None or reason is not None:
            skipped[reason or Skip.UNREADABLE] += 1
        else:
            kept.setdefault(row["InvoiceNo"].strip(), []).append((row, at))
    invoices = tuple(_by_time(kept))
    if not any(not invoice.cancels for invoice in invoices):
        raise NoOrdersError("There is not one line with a product that somebody bought.")
    return Book(invoices, lines, skipped)


def _why_not(row: Mapping[str, str | None]) -> Skip | None:
    number, code, quantity = (row[name] for name in COLUMNS[:3])
    if not number or not code or not WHOLE_NUMBER.fullmatch((quantity or "").strip()):
        return Skip.UNREADABLE
    if code.strip().upper() in SERVICES or code.lower().startswith("gift_"):
        return Skip.SERVICE
    return _wrong_units(number.strip(), int(quantity or 0), row["UnitPrice"])


def _wrong_units(number: str, units: int, price: str | None) -> Skip | None:
    if units == 0:
        return Skip.NO_UNITS
    if number.startswith("C") != (units < 0):
        return Skip.POSITIVE if units > 0 else Skip.NEGATIVE
    try:
        return Skip.NO_PRICE if float(price or "") <= 0 else None
    except ValueError:
        return Skip.UNREADABLE


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
