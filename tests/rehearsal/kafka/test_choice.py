"""Which broker the tests run against."""

from __future__ import annotations

import pytest

from tests.support.kafka import NoKafkaError, kafka_for_tests


def test_a_named_broker_is_used_as_it_is() -> None:
    with kafka_for_tests({"KAFKA_BOOTSTRAP_SERVERS": "kafka.example:9092", "TEST_KAFKA": "ignored"}) as kafka:
        assert (kafka.bootstrap, kafka.kind) == ("kafka.example:9092", "external")


def test_testcontainers_without_an_engine_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")  # nobody listens there
    context = kafka_for_tests({"TEST_KAFKA": "testcontainers"})
    with pytest.raises(NoKafkaError, match=r"none answers.*unset TEST_KAFKA to use the embedded Kafka"):
        context.__enter__()


def test_an_unknown_choice_is_refused() -> None:
    context = kafka_for_tests({"TEST_KAFKA": "redpanda"})
    with pytest.raises(NoKafkaError, match=r"'redpanda'.*embedded or testcontainers"):
        context.__enter__()
