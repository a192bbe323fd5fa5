"""`flashsale status`: a promotion's figures, from its reports and what has changed since."""

from __future__ import annotations

from typing import Any

from msgspec.json import encode

from flashsale.status.promotions import Promotion, decode_figures, decode_report
from tests.flashsale.test_attention import NOW_MS
from tests.flashsale.test_report import figures_of, line, pages, values


def read(*reports: Any, figures: tuple[Any, ...] = ()) -> Any:
    """How FLASH-1 stands, of which these reports and figures were read."""
    promotion = Promotion("FLASH-1", started_at_ms=NOW_MS)
    for value in values(*reports):
        promotion.take_report(decode_report(value), NOW_MS)
    for each in figures:
        promotion.take_figures(decode_figures(encode(each)))
    return promotion.shown(NOW_MS, with_lines=True)


def test_what_has_changed_since_the_newest_report_is_in_the_figures() -> None:
    report = list(pages(1, [line("A", 10), line("B", 20, drift=2)], kind="INTERIM"))
    older = figures_of("A", 1, at="2025-11-28T11:00:07.000Z")
    shown = read(report, figures=(older, figures_of("B", 25), figures_of("B", 30)))
    assert (shown.status, shown.consumed, shown.rejected_units, shown.drift) == ("ACTIVE", 40, 3, 2)
    assert shown.figures_of == "2025-11-28T11:00:09.000Z"
    assert [(each.sku, each.consumed, each.drift) for each in shown.lines] == [("A", 10, 0), ("B", 30, 2)]


def test_before_the_first_report_the_figures_are_shown_alone() -> None:
    shown = read(figures=(figures_of("A", 10), figures_of("B", 20)))
    assert (shown.status, shown.reserved, shown.consumed, shown.left) == ("ACTIVE", 3_000, 30, 2_970)
    assert shown.drift is None
