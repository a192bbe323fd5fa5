"""One set of topics and one signed bridge for all tests here that do not need their own."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from flashsale.admin.topics import create_topics
from streams.settings import load_settings
from tests.bridge.decisions import Decider
from tests.bridge.process import BridgeProcess, Caller
from tests.support.kafka import KafkaUnderTest, unique_prefix

OPEN_FILES = 5_000


@pytest.fixture(scope="package")
def environment(kafka: KafkaUnderTest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of bridges that share topics; two partitions each."""
    config = tmp_path_factory.mktemp("config") / "config.json"
    config.write_text('{"partitions": 2}')
    found = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
        "TOPIC_PREFIX": unique_prefix(),
        "RESERVATION_CONFIG": str(config),
    }
    create_topics(load_settings(found))
    return found


@pytest.fixture(scope="package")
def bridge(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgeProcess]:
    """A bridge that wants signatures."""
    with BridgeProcess(environment, tmp_path_factory.mktemp("bridge")) as process:
        yield process.wait_ready()


@pytest.fixture(scope="package")
def decider(environment: dict[str, str]) -> Decider:
    """Publishes decisions on the shared topics."""
    return Decider(environment["KAFKA_BOOTSTRAP_SERVERS"], environment["TOPIC_PREFIX"])


@pytest.fixture
def caller(bridge: BridgeProcess) -> Iterator[Caller]:
    """A client of the shared bridge."""
    client = Caller(bridge.url)
    yield client
    client.close()


@pytest.fixture
def many_files() -> Iterator[None]:
    """A connection is an open file, and some systems begin with 1,024 of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < OPEN_FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where a bridge of the test's own keeps its log and its data."""
    return tmp_path / "bridge"
