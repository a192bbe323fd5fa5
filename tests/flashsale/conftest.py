"""The command as people run it: a process of its own, against the session's broker, under a prefix."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from flashsale.admin import create_topics
from streams.settings import Settings, load_settings
from tests.flashsale.command import READ_BY_US, Command, InProcess
from tests.flashsale.sold import sold
from tests.support.kafka import KafkaUnderTest, unique_prefix
from tests.support.system import System


@pytest.fixture
def bare_environment(tmp_path: Path) -> dict[str, str]:
    """This process's environment without anything that this software reads."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(READ_BY_US)}
    return kept | {"DATA_DIR": str(tmp_path / "data")}


@pytest.fixture
def environment(bare_environment: dict[str, str], kafka: KafkaUnderTest, topic_prefix: str) -> dict[str, str]:
    """What a command needs to reach the broker, with a prefix of this test's own."""
    return bare_environment | {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap, "TOPIC_PREFIX": topic_prefix}


@pytest.fixture
def flashsale(environment: dict[str, str]) -> Command:
    """Runs `flashsale` against the broker; no topics exist yet."""
    return Command(environment)


@pytest.fixture
def settings(environment: dict[str, str]) -> Settings:
    return load_settings(environment)


@pytest.fixture
def admin(kafka: KafkaUnderTest) -> AdminClient:
    return AdminClient({"bootstrap.servers": kafka.bootstrap})


@pytest.fixture(scope="session")
def shared_prefix(kafka: KafkaUnderTest) -> str:
    """A prefix whose topics exist, for tests that do not disturb each other."""
    prefix = unique_prefix()
    create_topics(load_settings({"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap, "TOPIC_PREFIX": prefix}))
    return prefix


@pytest.fixture
def with_topics(environment: dict[str, str], shared_prefix: str) -> Command:
    """Runs `flashsale` where all topics exist."""
    return Command(environment | {"TOPIC_PREFIX": shared_prefix})


@pytest.fixture
def nowhere(bare_environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> InProcess:
    """Runs `flashsale` here, without any broker."""
    return InProcess(bare_environment, capsys)


@pytest.fixture
def called(environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> InProcess:
    """Runs `flashsale` here, against the broker; no topics exist yet."""
    return InProcess(environment, capsys)


@pytest.fixture
def called_with_topics(with_topics: Command, capsys: pytest.CaptureFixture[str]) -> InProcess:
    """Runs `flashsale` here, where all topics exist."""
    return InProcess(with_topics.environment, capsys)


@pytest.fixture(scope="package")
def sale(kafka: KafkaUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A sale that was held, and its worker, which still runs: the tests of this package share it."""
    with sold(kafka, tmp_path_factory.mktemp("sale")) as held:
        yield held


@pytest.fixture
def at_the_sale(
    sale: System, bare_environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> InProcess:
    """Runs `flashsale` here, with the environment of that sale."""
    return InProcess(bare_environment | sale.environment(), capsys)
