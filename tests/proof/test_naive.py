"""The negative control: what reads and then writes oversells, and the audit says so."""

from __future__ import annotations

from tests.audit.report import audit
from tests.proof.naive import naive_sale

ORDERS = 2_500
OVERSOLD = "no sku is oversold"


def test_who_reads_and_then_writes_oversells_under_the_orders_of_a_long_sale() -> None:
    report = audit(naive_sale(ORDERS, 13))
    assert len(report.findings[OVERSOLD]) > 10


def test_the_same_orders_do_not_oversell_where_reading_and_writing_are_one() -> None:
    assert audit(naive_sale(ORDERS, 13, atomic=True)).findings[OVERSOLD] == []
