"""The broker that the tests run against."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from rehearsal.kafka import EmbeddedKafka

CONTAINER_IMAGE = "confluentinc/cp-kafka:8.1.0"
"""The first image that testcontainers' KafkaContainer can start and that has Apache Kafka 4.1."""

CONTAINER_BROKER = {
    "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
    # As with the embedded broker: failover tests shorten the session.
    "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
}

PING_TIMEOUT_S = 2


@dataclass(frozen=True, slots=True)
class KafkaUnderTest:
    """A running broker; `kind` says where it comes from: external, testcontainers or embedded."""

    bootstrap: str
    kind: str


class NoKafkaError(RuntimeError):
    """The broker that was asked for cannot be had; the text says what to do."""


@contextmanager
def kafka_for_tests(environment: Mapping[str, str] = os.environ) -> Iterator[KafkaUnderTest]:
    """Yield the broker that the environment asks for.

    `KAFKA_BOOTSTRAP_SERVERS` names one that runs; `TEST_KAFKA=testcontainers` starts one in Docker; otherwise
    the embedded broker is started. Raises NoKafkaError, or EmbeddedKafkaError from the embedded one.
    """
    if bootstrap := environment.get("KAFKA_BOOTSTRAP_SERVERS"):
        yield KafkaUnderTest(bootstrap, "external")
        return
    choice = environment.get("TEST_KAFKA", "embedded")
    if choice == "testcontainers":
        with _container() as kafka:
            yield kafka
    elif choice == "embedded":
        with EmbeddedKafka() as broker:
            yield KafkaUnderTest(broker.bootstrap, "embedded")
    else:
        raise NoKafkaError(f"TEST_KAFKA is {choice!r}. Set it to embedded or testcontainers, or unset it.")


def unique_prefix() -> str:
    """Return a topic prefix that no other test uses."""
    return f"t{uuid.uuid4().hex[:10]}-"


@contextmanager
def _container() -> Iterator[KafkaUnderTest]:
    _require_docker()
    from testcontainers.community.kafka import KafkaContainer

    container = KafkaContainer(CONTAINER_IMAGE).with_kraft()
    for name, value in CONTAINER_BROKER.items():
        container.with_env(name, value)
    with container:
        yield KafkaUnderTest(container.get_bootstrap_server(), "testcontainers")


def _require_docker() -> None:
    """Ask the engine first: without one, testcontainers' constructor fails with a long trace."""
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=PING_TIMEOUT_S)
        try:
            client.ping()
        finally:
            client.close()
    except DockerException as error:
        raise NoKafkaError(
            f"TEST_KAFKA=testcontainers needs a Docker engine and none answers ({error}). "
            "Start Docker or correct DOCKER_HOST, or unset TEST_KAFKA to use the embedded Kafka."
        ) from error
