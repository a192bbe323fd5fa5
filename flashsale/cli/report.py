"""`flashsale report`: the newest reconciliation report of a promotion, its pages put together.

Before the first report, and beside one that was made while the sale ran, it shows what `sale-figures` says.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Mapping
from csv import DictWriter
from json import dumps
from typing import Annotated

import typer
from pydantic import ValidationError

from flashsale.cli.console import complain, connected, print_table, say, say_json, write
from flashsale.standing import COLUMNS, Standing, standing_of
from schemas.fields import Message
from schemas.reports import ReconciliationReport, ReportLine, SaleFigures, Waits
from schemas.topics import RECONCILIATION_REPORTS
from streams.log import printable_lines
from streams.reader import read_to_end
from streams.settings import Settings

FIGURES = ("reserved", "consumed", "cancelled", "released", "rejectedUnits", "rejectedOrders", "drift")


DANGEROUS = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a cell that begins so for a formula: https://owasp.org/www-community/attacks/CSV_Injection"""


def report(
    promotion: Annotated[str, typer.Argument(help="The promotion's id.")],
    json: Annotated[bool, typer.Option("--json", help="The report as one JSON object.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="One row per SKU.")] = False,
) -> int:
    """Print the newest report, or what is known without one; 1 where that is nothing.

    Raises ConfigurationError.
    """
    if json and csv:
        raise typer.BadParameter("--json and --csv exclude each other.")
    settings = connected()
    found = newest_report(settings, promotion)
    known = standing_of(settings, promotion) if found is None or found.kind == "INTERIM" else None
    if found is not None:
        (print_json if json else print_csv if csv else print_text)(found)
        if known is not None and known.at > found.generated_at and not (json or csv):
            say(_since(known))
    elif known is not None:
        (known_as_json if json else known_as_csv if csv else known_as_text)(known)
    else:
        complain(f"There is no report of {promotion}: it is not known, or nothing of it was decided yet.")
        return 1
    return 0


def newest_report(settings: Settings, promotion: str) -> ReconciliationReport | None:
    """The newest report in the topic, None when there is none. Raises ConfigurationError."""
    key = promotion.encode()
    records = read_to_end(settings, RECONCILIATION_REPORTS)
    return newest(record.value() for record in records if record.key() == key)


def newest(values: Iterable[bytes | None]) -> ReconciliationReport | None:
    """The report that was completed last among the pages of one promotion, in log order.

    A report of which a page is missing does not count: it is being written, or its beginning was deleted.
    """
    open_reports: dict[tuple[str, int], dict[int, ReconciliationReport]] = {}
    found = None
    for page in filter(None, map(_page, values)):
        pages = open_reports.setdefault((page.kind, page.revision), {})
        pages[page.page] = page
        if len(pages) == page.pages:
            found = _merged(list(open_reports.pop((page.kind, page.revision)).values()))
    return found


def _page(value: bytes | None) -> ReconciliationReport | None:
    try:
        return ReconciliationReport.model_validate_json(value or b"")
    except ValidationError:
        complain("A record of reconciliation-reports is no report and was left out.")
        return None


def _merged(pages: list[ReconciliationReport]) -> ReconciliationReport:
    pages.sort(key=lambda page: page.page)
    waiting = tuple(sku for page in pages for sku in page.waiting_for or ())
    together = {
        "lines": tuple(line for page in pages for line in page.lines),
        "waiting_for": waiting or None,
        "page": 1,
        "pages": 1,
    }
    return pages[0].model_copy(update=together)


def print_json(report: ReconciliationReport) -> None:
    """The report as one JSON object. Raises ReaderLeft."""
    say_json(report.model_dump_json(by_alias=True, exclude_none=True))


def print_csv(report: ReconciliationReport) -> None:
    """A header and one row per SKU. Raises ReaderLeft."""
    _write_csv(map(_flat, report.lines))


def _write_csv(rows: Iterable[dict[str, object]]) -> None:
    fluent = [f"fluent{name}" for name in ("Ref", "Status", "Held", "CheckedAt")]
    columns = ["sku", *FIGURES, "driftKind", "driftAction", "waitsFor", *fluent]
    text = io.StringIO()
    writer = DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    written = text.getvalue()
    if sys.stdout.isatty():  # a file gets what Fluent says as it is, a terminal never
        written = printable_lines(written)
    write(written.encode())


def _flat(line: ReportLine) -> dict[str, object]:
    row: dict[str, object] = line.model_dump(by_alias=True)
    fluent: dict[str, object] = row.pop("fluent")  # type: ignore[assignment]
    row |= {f"fluent{name[0].upper()}{name[1:]}": value for name, value in fluent.items()}
    return {name: _defused(value) for name, value in row.items()}


def _defused(value: object) -> object:
    """Text that a spreadsheet shows and never calculates; a number stays a number."""
    return f"'{value}" if isinstance(value, str) and value.startswith(DANGEROUS) else value


WAITS: Mapping[Waits, str] = {
    "BACKLOG": "orders that were placed in time may still wait to be decided",
    "HOLD": "Fluent has not answered about the hold",
    "BOOKING": "units that were sold last stay held until the shop has had the time to book them",
    "RELEASE": "Fluent has not confirmed the end of the hold",
}


def print_text(report: ReconciliationReport) -> None:
    """A table with totals, and what is to be done. Raises ReaderLeft."""
    say(
        f"{report.promotion_id}: {report.kind} report, revision {report.revision}, "
        f"{report.status}, of {report.generated_at}"
    )
    columns = ("SKU", "reserved", "sold", "cancelled", "released", "refused", "orders refused", "drift")
    rows = [(line.sku, *_figures(line), line.fluent.status, line.drift_kind or "") for line in report.lines]
    totals = ("total", *_figures(report.totals), "", "")
    print_table((*columns, "in Fluent", "kind"), rows, numbers=columns[1:], totals=totals)
    if report.waiting_for:
        say(f"Not closed in time: {', '.join(report.waiting_for)}")
    for line in report.lines:
        if line.waits_for:
            say(f"{line.sku}: {WAITS[line.waits_for]}")
        if line.drift_action:
            say(f"{line.sku}: {line.drift_action}")


def _figures(figures: Message) -> list[str]:
    values = figures.model_dump(by_alias=True)
    return [f"{values[name]:,}" for name in FIGURES]


KNOWN = FIGURES[:-1]
"""Figures that need no report: all but what Fluent was found to hold."""


def known_as_json(known: Standing) -> None:
    """What is known without a report, as one JSON object: it has no `kind`. Raises ReaderLeft."""
    body = {
        "promotionId": known.promotion_id,
        "status": known.status,
        "lines": [{"sku": sku, **_known_figures(each)} for sku, each in sorted(known.skus.items())],
        "totals": dict(zip(KNOWN, map(known.total, COLUMNS), strict=True)),
        "generatedAt": known.at,
    }
    say_json(dumps(body, ensure_ascii=False, separators=(",", ":")))


def known_as_csv(known: Standing) -> None:
    """The same columns as of a report; those that need one are empty. Raises ReaderLeft."""
    _write_csv({"sku": _defused(sku), **_known_figures(each)} for sku, each in sorted(known.skus.items()))


def known_as_text(known: Standing) -> None:
    """A table with totals. Raises ReaderLeft."""
    without = "it is over, and there is no report" if known.is_over else "the sale runs, no report yet"
    say(f"{known.promotion_id}: {without}; {known.status}, figures of {known.at}")
    columns = ("SKU", "reserved", "sold", "cancelled", "released", "refused", "orders refused")
    rows = [
        (sku, *(f"{figure:,}" for figure in _known_figures(each).values()), each.status)
        for sku, each in sorted(known.skus.items())
    ]
    totals = ("total", *(f"{known.total(column):,}" for column in COLUMNS), "")
    print_table((*columns, "status"), rows, numbers=columns[1:], totals=totals)


def _known_figures(figures: SaleFigures) -> dict[str, int]:
    values = figures.model_dump(by_alias=True)
    return {name: values[name] for name in KNOWN}


def _since(known: Standing) -> str:
    left = known.total("reserved") - known.total("consumed") - known.total("released")
    return (
        f"Since then, by {known.at}: {known.total('consumed'):,} sold, {left:,} left, "
        f"{known.total('rejected_units'):,} refused"
    )
