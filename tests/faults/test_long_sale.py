"""A short form of the long sale: every kind of weather, and a worker that comes and goes all the time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.long_sale.sale import Plan, hold

pytestmark = [pytest.mark.kafka, pytest.mark.faults, pytest.mark.slow]

SHORT = Plan(orders=2_500, per_second=150)


def test_whatever_happens_to_workers_and_broker_each_event_has_one_answer_and_the_figures_add_up(
    tmp_path: Path,
) -> None:
    result = hold(SHORT, tmp_path)
    print(result.figures)
    assert result.findings == []
    assert result.figures["events"] > SHORT.orders
    assert result.figures["visits"] > 0
