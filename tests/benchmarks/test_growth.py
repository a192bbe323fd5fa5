"""`make bench-growth`: costs against sizes, on real stages and real RocksDB tables."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.growth.__main__ import main, markdown
from benchmarks.growth.curve import Curve, Drawn, Figure
from benchmarks.growth.curves import ARRIVALS, forgetting, idle, skus, waiting
from benchmarks.growth.sale import start
from benchmarks.growth.worker import Worker
from streams.engine import portion
from streams.ledger.effects import MAX_EFFECTS

PAGE = "# Performance\n\n<!-- growth -->\nformer\n<!-- /growth -->\n\nThe end.\n"
COST = Figure("cost", "an order", "µs CPU")


def drawn(*costs: float, figure: Figure = COST) -> Drawn:
    curve = Curve("skus", "SKUs", (), (figure,), skus, "Orders over SKUs.")
    return Drawn(curve, {10**n: {"cost": cost} for n, cost in enumerate(costs)})


def test_every_order_that_is_measured_has_its_outcome_and_its_rows(tmp_path: Path) -> None:
    figures = skus(tmp_path, 10, 200)
    assert figures["order"] > 0 and figures["claim"] > 0 and figures["disk"] > 0
    assert figures["rows"] > 2, "the order's row, its claim's, and a share of the SKU's"


def test_a_queue_that_others_join_meanwhile_is_decided_to_the_end(tmp_path: Path) -> None:
    figures = waiting(tmp_path, 2 * ARRIVALS, 0)
    assert 1 <= figures["rounds"] <= figures["busy"] < 100


def test_fluent_is_not_asked_twice_for_a_hold_that_it_has_confirmed(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    start(worker, "P-0", ["SKU-0", "SKU-1"])
    assert worker.counts.requests == 2 and not worker.behind


def test_more_idle_skus_are_measured_at_the_same_times(tmp_path: Path) -> None:
    assert idle(tmp_path, 20, 0)["cpu"] > 0


def test_of_orders_that_are_forgotten_nothing_is_left_however_many_they_were(tmp_path: Path) -> None:
    few, many = (forgetting(tmp_path / str(count), count, 0)["left"] for count in (200, 600))
    assert few == many > 0, "the promotion, its SKUs and their reports stay"


def test_a_batch_that_forgets_writes_a_bounded_number_of_rows_however_many_come_of_age(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen: all of 100,000 orders in a batch, which took 461 ms of the event loop."""
    monkeypatch.setattr(portion, "MAX_ROWS", 500)
    assert forgetting(tmp_path, 6_000, 0)["most"] <= 500 + MAX_EFFECTS


def test_a_curve_is_flat_or_has_a_reason_or_is_found_out() -> None:
    assert drawn(10.0, 9.0, 14.0).verdict(COST) == "flat"
    assert drawn(10.0, 30.0, 11.0).verdict(COST) == "x 3.0: nothing explains it"
    assert drawn(10.0, 30.0).unexplained() == [COST]
    told = Figure("cost", "an order", "µs CPU", "rows are read from disk")
    assert drawn(10.0, 30.0, figure=told).verdict(told) == "x 3.0: rows are read from disk"
    assert not drawn(10.0, 30.0, figure=told).unexplained()
    small = Figure("cost", "a second", "ms CPU", least=5.0)
    assert drawn(0.1, 4.0, figure=small).verdict(small) == "flat"


def test_the_table_has_a_column_for_each_size() -> None:
    head, _, row = markdown([drawn(10.0, 9.0)]).split("\n\n")[2].splitlines()
    assert head == "| SKUs | 1 | 10 | grows |" and row == "| an order, µs CPU | 10 | 9 | flat |"


def test_a_size_that_took_too_long_is_named() -> None:
    told = markdown([Drawn(drawn(10.0).curve, {1: {"cost": 10.0}}, [1_000_000])])
    assert "Orders over SKUs. Not finished within 400 s: 1 M." in told


def test_what_was_measured_replaces_what_stood_in_the_page(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(PAGE)
    arguments = ["skus", "--most", "10", "--effort", "200", "--write", str(tmp_path)]
    assert main(arguments) == 0
    text = page.read_text()
    assert "former" not in text and text.count("<!-- growth -->") == 1 and text.endswith("\nThe end.\n")
    assert "![SKUs](growth-skus.svg)" in text
    assert ElementTree.parse(tmp_path / "growth-skus.svg").getroot().tag.endswith("svg")  # noqa: S314 - our own


def test_a_page_without_a_place_for_the_figures_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "performance.md").write_text("# Performance\n")
    assert main(["skus", "--most", "10", "--effort", "200", "--write", str(tmp_path)]) == 2
    assert "<!-- growth -->" in capsys.readouterr().err.splitlines()[-1]
