"""A sale on a broker that asks for a login: by SCRAM, and by token."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rehearsal.kafka import EmbeddedKafka, ScramUser
from tests.support.audit import order, promotion_start
from tests.support.system import System, system
from tests.support.token_endpoint import SECRET, TokenEndpoint

pytestmark = pytest.mark.kafka

USER = ScramUser("flashsale", "only-for-this-test")
TAKES_TOKENS = {
    "listener.name.sasl_ssl.sasl.enabled.mechanisms": "SCRAM-SHA-512,OAUTHBEARER",
    "listener.name.sasl_ssl.oauthbearer.sasl.jaas.config": (
        "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required "
        'unsecuredLoginStringClaim_sub="broker";'
    ),
    "listener.name.sasl_ssl.oauthbearer.connections.max.reauth.ms": "5000",
}
"""Kafka's handler for tokens that nobody has signed: it reads their claims and looks at their end."""


@contextmanager
def secured(directory: Path, prefix: str, overrides: dict[str, str]) -> Iterator[System]:
    """A system on a broker with TLS and a login; the simulator has 10 units of A."""
    with (
        EmbeddedKafka(security=USER, overrides=overrides) as broker,
        system(broker.bootstrap, prefix, directory, {"A": {"LOC-1": 10}}) as sale,
    ):
        sale.extra_environment = dict(broker.secure_environment)
        yield sale


def sell(sale: System, promotion: str) -> None:
    """A promotion of 5 units and an order of 2."""
    sale.publish("promotion-start", [promotion_start(promotion, {"A": 5})])
    before = len(sale.read("order-outcomes"))
    sale.wait_for("promotion-results", before + 1)
    sale.publish("order-placed", [order("O-1", promotion, ("A", 2))])
    assert sale.wait_for("order-outcomes", before + 1)[-1].json["outcome"] == "ACCEPTED"


def test_a_worker_runs_a_sale_over_sasl_ssl_with_scram(tmp_path: Path, topic_prefix: str) -> None:
    with secured(tmp_path, topic_prefix, {}) as sale:
        sale.start_worker()
        sell(sale, "P")
        assert sale.fluent.truth("A")["held"] == 5
        assert USER.password not in sale.workers[0].log


def test_a_worker_runs_sales_by_token_and_outlives_its_tokens(tmp_path: Path, topic_prefix: str) -> None:
    with TokenEndpoint(life_s=6.0) as endpoint, secured(tmp_path, topic_prefix, TAKES_TOKENS) as sale:
        for name in ("KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"):
            del sale.extra_environment[name]
        sale.extra_environment |= endpoint.environment
        worker = sale.start_worker()
        sell(sale, "P-1")
        deadline = time.monotonic() + 60
        while len(endpoint.asked) < 4 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert len(endpoint.asked) >= 4, "tokens are renewed"
        sell(sale, "P-2")
        assert worker.terminate() == 0
        assert SECRET not in worker.log and "Traceback" not in worker.log
