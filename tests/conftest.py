"""Fixtures that every suite may use."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, settings

from rehearsal.kafka import EmbeddedKafkaError
from tests.support.kafka import KafkaUnderTest, NoKafkaError, kafka_for_tests, unique_prefix

# How long an example takes says how busy the machine is, and nothing about the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_configure() -> None:
    """A job in a shell's background ignores SIGINT, and so would every process that a test interrupts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever uses the broker, directly or through another fixture, carries the marker `kafka`."""
    for item in items:
        if "kafka" in getattr(item, "fixturenames", ()):
            item.add_marker("kafka")


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaUnderTest]:
    """One broker for the whole session; without one no test could tell anything, so the session ends."""
    with ExitStack() as stack:
        try:
            broker = stack.enter_context(kafka_for_tests())
        except (NoKafkaError, EmbeddedKafkaError) as error:
            pytest.exit(str(error), returncode=2)
        yield broker
        # A client that only a cycle still holds would complain of the broker that is gone, below the summary.
        gc.collect()


@pytest.fixture
def topic_prefix() -> str:
    """A `TOPIC_PREFIX` of this test's own: tests share the broker, never its topics."""
    return unique_prefix()
