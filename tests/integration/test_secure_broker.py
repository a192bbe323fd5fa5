"""A worker on a broker that wants TLS and SCRAM."""

from __future__ import annotations

from pathlib import Path

import pytest

from rehearsal.kafka import EmbeddedKafka, ScramUser
from tests.support.audit import order, promotion_start
from tests.support.system import system

pytestmark = pytest.mark.kafka


def test_a_worker_runs_a_sale_over_sasl_ssl_with_scram(tmp_path: Path, topic_prefix: str) -> None:
    user = ScramUser("flashsale", "only-for-this-test")
    stock = {"A": {"LOC-1": 10}}
    with (
        EmbeddedKafka(security=user) as broker,
        system(broker.bootstrap, topic_prefix, tmp_path, stock) as sale,
    ):
        sale.extra_environment = dict(broker.secure_environment)
        sale.start_worker()
        sale.publish("promotion-start", [promotion_start("P", {"A": 5})])
        sale.wait_for("promotion-results", 1)
        sale.publish("order-placed", [order("O-1", "P", ("A", 2))])
        assert sale.wait_for("order-outcomes", 1)[0].json["outcome"] == "ACCEPTED"
        assert sale.fluent.truth("A")["held"] == 5
        assert "only-for-this-test" not in sale.workers[0].log
