"""`flashsale report`: the newest complete report, its pages put together."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from confluent_kafka import Producer

from flashsale.cli.report import newest, print_csv
from flashsale.standing import Standing
from schemas.reports import SaleFigures
from streams.kafka import client_config
from streams.settings import load_settings
from tests.flashsale.command import TIMEOUT_S, Command, InProcess

Page = dict[str, Any]


def line(sku: str, consumed: int, **more: Any) -> dict[str, Any]:
    fluent = {"ref": f"FS-FLASH-1-{sku}", "status": "INACTIVE", "held": 0}
    figures = {"reserved": 1_500, "consumed": consumed, "cancelled": 0, "released": 1_500 - consumed}
    refused = {"rejectedUnits": 0, "rejectedOrders": 0}
    return {"sku": sku, **figures, **refused, "fluent": fluent, "drift": 0, **more}


def pages(revision: int, *groups: list[dict[str, Any]], kind: str = "FINAL", **more: Any) -> Iterator[Page]:
    figures = ("reserved", "consumed", "cancelled", "released", "rejectedUnits", "rejectedOrders", "drift")
    lines = [each for group in groups for each in group]
    for number, group in enumerate(groups, start=1):
        yield {
            "promotionId": "FLASH-1",
            "kind": kind,
            "status": "CLOSED" if kind == "FINAL" else "ACTIVE",
            "lines": group,
            "totals": {name: sum(each[name] for each in lines) for name in figures},
            "page": number,
            "pages": len(groups),
            "revision": revision,
            "generatedAt": "2025-11-28T11:00:07.440Z",
            **more,
        }


def values(*reports: Iterable[Page]) -> list[bytes]:
    return [json.dumps(page).encode() for report in reports for page in report]


def test_the_highest_revision_counts() -> None:
    found = newest(values(pages(1, [line("A", 1)]), pages(2, [line("A", 2)])))
    assert found is not None
    assert (found.revision, found.lines[0].consumed) == (2, 2)


def test_a_final_report_replaces_interim_ones_with_higher_revisions() -> None:
    found = newest(values(pages(7, [line("A", 1)], kind="INTERIM"), pages(1, [line("A", 2)])))
    assert found is not None
    assert (found.kind, found.revision) == ("FINAL", 1)


def test_pages_are_put_together_in_their_order() -> None:
    first, second = pages(1, [line("A", 1), line("B", 2)], [line("C", 3)])
    found = newest(values([second, first]))
    assert found is not None
    assert [each.sku for each in found.lines] == ["A", "B", "C"]
    assert (found.page, found.pages, found.totals.consumed) == (1, 1, 6)


def test_a_report_of_which_a_page_is_missing_does_not_count() -> None:
    incomplete, _ = pages(2, [line("A", 2)], [line("B", 2)])
    found = newest(values(pages(1, [line("A", 1), line("B", 1)]), [incomplete]))
    assert found is not None
    assert found.revision == 1
    assert newest(values([incomplete])) is None


def test_what_is_waited_for_is_collected_from_all_pages() -> None:
    first, second = pages(1, [line("A", 1)], [line("B", 2)], kind="INTERIM", status="CLOSING")
    found = newest(values([{**first, "waitingFor": ["A"]}, {**second, "waitingFor": ["B"]}]))
    assert found is not None
    assert found.waiting_for == ("A", "B")


@pytest.fixture
def reported(with_topics: Command) -> Command:
    """`flashsale` where FLASH-1 has a FINAL report of two pages, after an older one."""
    settings = load_settings(with_topics.environment)
    producer = Producer(client_config(settings))
    remedy = "Release 2 units of C in Fluent."
    drifting = line("C", 3, drift=2, driftKind="DUPLICATE", driftAction=remedy, waitsFor="RELEASE")
    first, second = pages(2, [line("A", 1_400), line("B", 2)], [drifting])
    for value in values(pages(1, [line("A", 99)]), [first, {**second, "waitingFor": ["C"]}]):
        producer.produce(settings.prefixed("reconciliation-reports"), value, "FLASH-1")
    producer.produce(settings.prefixed("reconciliation-reports"), b"not JSON", "FLASH-OTHER")
    assert producer.flush(TIMEOUT_S) == 0
    return with_topics


def test_the_table_shows_lines_totals_and_what_to_do(reported: Command) -> None:
    done = reported("report", "FLASH-1")
    assert (done.status, done.err) == (0, "")
    assert done.lines[0].startswith("FLASH-1: FINAL report, revision 2, CLOSED, of 2025-11-28")
    cells = [row.split()[:3] for row in done.lines[1:] if row]
    assert ["A", "1,500", "1,400"] in cells
    assert ["total", "4,500", "1,405"] in cells
    assert "C: Release 2 units of C in Fluent." in done.lines
    assert "Not closed in time: C" in done.lines
    assert "C: Fluent has not confirmed the end of the hold" in done.lines


def test_the_json_is_one_object_with_all_lines(reported: Command) -> None:
    done = reported("report", "FLASH-1", "--json")
    assert (done.status, done.err) == (0, "")
    found = json.loads(done.out)
    assert [each["sku"] for each in found["lines"]] == ["A", "B", "C"]
    assert (found["revision"], found["pages"], found["totals"]["consumed"]) == (2, 1, 1_405)
    assert "driftKind" not in found["lines"][0]


def test_the_csv_has_one_row_per_sku(reported: Command) -> None:
    done = reported("report", "FLASH-1", "--csv")
    assert (done.status, done.err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert [(row["sku"], row["consumed"], row["fluentStatus"]) for row in rows] == [
        ("A", "1400", "INACTIVE"),
        ("B", "2", "INACTIVE"),
        ("C", "3", "INACTIVE"),
    ]
    assert rows[2]["driftKind"] == "DUPLICATE"


@pytest.mark.parametrize("sku", ["=1+2", "+1", "-1", "@SUM(A1)"])
def test_a_spreadsheet_takes_no_cell_of_the_csv_for_a_formula(
    sku: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = newest(values(pages(1, [line(sku, 3)])))
    assert found is not None
    print_csv(found)
    [row] = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["sku"], row["consumed"]) == (f"'{sku}", "3")


def test_a_csv_on_a_terminal_has_nothing_of_fluents_that_is_a_command_to_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fluent = {"ref": "FS-FLASH-1-A", "status": "A\x9b2J", "held": 0}
    found = newest(values(pages(1, [line("A", 3, fluent=fluent)])))
    assert found is not None
    print_csv(found)
    assert "A\x9b2J" in capsys.readouterr().out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_csv(found)
    shown = capsys.readouterr().out
    assert "\x9b" not in shown and r"A\x9b2J" in shown
    assert len(shown.splitlines()) == 2


def test_an_unknown_promotion_exits_1(called_with_topics: InProcess) -> None:
    done = called_with_topics("report", "NOBODY")
    assert (done.status, done.out) == (1, "")
    assert "There is no report of NOBODY" in done.err


def test_a_missing_topic_is_one_sentence(called: InProcess) -> None:
    assert called("report", "FLASH-1").refused("reconciliation-reports does not exist")


def figures_of(sku: str, consumed: int, *, at: str = "2025-11-28T11:00:09.000Z", **more: Any) -> Page:
    """Value of a `sale-figures` record."""
    refused = {"rejectedUnits": 3, "rejectedOrders": 1}
    figures = {"reserved": 1_500, "consumed": consumed, "cancelled": 0, "released": 0, **refused}
    times = {"expiresAt": "2025-11-28T12:00:00.000Z", "at": at}
    return {"promotionId": "FLASH-1", "sku": sku, "status": "ACTIVE", **figures, **times, **more}


def publish_figures(command: Command, *values: Page) -> None:
    settings = load_settings(command.environment)
    producer = Producer(client_config(settings))
    for value in values:
        key = f"{value['promotionId']}/{value['sku']}"
        producer.produce(settings.prefixed("sale-figures"), json.dumps(value).encode(), key)
    assert producer.flush(TIMEOUT_S) == 0


@pytest.fixture
def selling(with_topics: Command) -> Command:
    """`flashsale` where SALE runs and has no report yet; another has an id that begins alike."""
    of_sale = [figures_of("B", 1), figures_of("B", 40), figures_of("A", 2)]
    other = figures_of("A", 77) | {"promotionId": "SALE/B"}
    publish_figures(with_topics, other, *(each | {"promotionId": "SALE"} for each in of_sale))
    return with_topics


def test_without_a_report_it_says_that_the_sale_runs_and_shows_what_is_known(selling: Command) -> None:
    done = selling("report", "SALE")
    assert (done.status, done.err) == (0, "")
    head = "SALE: the sale runs, no report yet; ACTIVE, figures of 2025-11-28T11:00:09.000Z"
    assert done.lines[0] == head
    cells = [row.split() for row in done.lines[1:] if row]
    assert ["B", "1,500", "40", "0", "0", "3", "1", "ACTIVE"] in cells
    assert ["total", "3,000", "42", "0", "0", "6", "2"] in cells


def test_what_is_known_without_a_report_comes_as_json_and_csv_as_well(selling: Command) -> None:
    found = json.loads(selling("report", "SALE", "--json").out)
    assert "kind" not in found
    assert (found["status"], found["generatedAt"]) == ("ACTIVE", "2025-11-28T11:00:09.000Z")
    assert [(each["sku"], each["consumed"]) for each in found["lines"]] == [("A", 2), ("B", 40)]
    assert found["totals"]["consumed"] == 42
    rows = list(csv.DictReader(io.StringIO(selling("report", "SALE", "--csv").out)))
    assert [(row["sku"], row["consumed"], row["drift"]) for row in rows] == [("A", "2", ""), ("B", "40", "")]


def test_beside_a_report_of_the_running_sale_stands_what_is_newer(selling: Command) -> None:
    settings = load_settings(selling.environment)
    producer = Producer(client_config(settings))
    for value in values(pages(1, [line("A", 0), line("B", 20)], kind="INTERIM", promotionId="SALE")):
        producer.produce(settings.prefixed("reconciliation-reports"), value, "SALE")
    assert producer.flush(TIMEOUT_S) == 0
    done = selling("report", "SALE")
    assert done.lines[0].startswith("SALE: INTERIM report")
    since = "Since then, by 2025-11-28T11:00:09.000Z: 42 sold, 2,958 left, 6 refused"
    assert done.lines[-1] == since


@pytest.mark.parametrize(
    ("states", "status"),
    [
        (("ACTIVE", "PENDING"), "PENDING"),
        (("ACTIVE", "REJECTED"), "ACTIVE"),
        (("ACTIVE", "CLOSED"), "CLOSING"),
        (("CLOSING", "REJECTED"), "CLOSING"),
        (("CLOSED", "REJECTED"), "CLOSED"),
        (("REJECTED", "REJECTED"), "REJECTED"),
    ],
)
def test_a_promotion_stands_as_its_skus_do_together(states: tuple[str, ...], status: str) -> None:
    skus = {str(n): SaleFigures(**figures_of(str(n), 0, status=state)) for n, state in enumerate(states)}
    assert Standing("FLASH-1", skus).status == status
