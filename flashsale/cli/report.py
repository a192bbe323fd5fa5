"""`flashsale report`: the newest reconciliation report of a promotion, its pages put together."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from csv import DictWriter
from typing import Annotated

import typer
from pydantic import ValidationError

from flashsale.cli.console import complain, connected, print_table, say, say_json, write
from schemas.fields import Message
from schemas.reports import ReconciliationReport, ReportLine, Waits
from schemas.topics import RECONCILIATION_REPORTS
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
    """Print the newest report; 1 when there is none. Raises ConfigurationError."""
    if json and csv:
        raise typer.BadParameter("--json and --csv exclude each other.")
    found = newest_report(connected(), promotion)
    if found is None:
        complain(f"There is no report of {promotion}: it is not known, or nothing of it was decided yet.")
        return 1
    (print_json if json else print_csv if csv else print_text)(found)
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
    fluent = [f"fluent{name}" for name in ("Ref", "Status", "Held", "CheckedAt")]
    columns = ["sku", *FIGURES, "driftKind", "driftAction", "waitsFor", *fluent]
    rows = io.StringIO()
    writer = DictWriter(rows, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(_flat, report.lines))
    write(rows.getvalue().encode())


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
