"""The embedded broker does what a broker does, and comes back with its data."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient

from rehearsal.kafka import EmbeddedKafka, EmbeddedKafkaError, ScramUser
from tests.rehearsal.kafka.clients import create_topic, produce, read

pytestmark = pytest.mark.kafka

USER = ScramUser("worker", "correct horse")

TIMEOUT_S = 20.0


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedKafka]:
    """A broker with a SASL_SSL listener and a changed property."""
    with EmbeddedKafka(security=USER, overrides={"message.max.bytes": "2222222"}) as running:
        yield running


def secure_settings(broker: EmbeddedKafka, password: str) -> dict[str, str]:
    environment = broker.secure_environment
    return {
        "bootstrap.servers": environment["KAFKA_BOOTSTRAP_SERVERS"],
        "security.protocol": environment["KAFKA_SECURITY_PROTOCOL"],
        "sasl.mechanism": environment["KAFKA_SASL_MECHANISM"],
        "sasl.username": environment["KAFKA_SASL_USERNAME"],
        "sasl.password": password,
        "ssl.ca.location": environment["KAFKA_SSL_CA_LOCATION"],
    }


def test_what_was_produced_is_consumed(broker: EmbeddedKafka, topic_prefix: str) -> None:
    topic = topic_prefix + "orders"
    create_topic(broker.bootstrap, topic)
    produce(broker.bootstrap, topic, b"one", b"two")
    assert read(broker.bootstrap, topic) == [b"one", b"two"]


def test_a_read_committed_reader_sees_only_committed_transactions(
    broker: EmbeddedKafka, topic_prefix: str
) -> None:
    topic = topic_prefix + "orders"
    create_topic(broker.bootstrap, topic)
    producer = Producer({"bootstrap.servers": broker.bootstrap, "transactional.id": topic_prefix})
    producer.init_transactions(TIMEOUT_S)
    for value, commits in ((b"first", True), (b"aborted", False), (b"second", True)):
        producer.begin_transaction()
        producer.produce(topic, value, partition=0)
        producer.flush(TIMEOUT_S)
        producer.commit_transaction(TIMEOUT_S) if commits else producer.abort_transaction(TIMEOUT_S)
    assert read(broker.bootstrap, topic) == [b"first", b"second"]


def test_a_second_producer_fences_the_first(broker: EmbeddedKafka, topic_prefix: str) -> None:
    topic = topic_prefix + "orders"
    create_topic(broker.bootstrap, topic)
    settings = {"bootstrap.servers": broker.bootstrap, "transactional.id": topic_prefix}
    zombie, successor = Producer(settings), Producer(settings)
    zombie.init_transactions(TIMEOUT_S)
    zombie.begin_transaction()
    zombie.produce(topic, b"late", partition=0)
    successor.init_transactions(TIMEOUT_S)
    with pytest.raises(KafkaException) as fenced:
        zombie.commit_transaction(TIMEOUT_S)
    assert fenced.value.args[0].fatal()
    assert read(broker.bootstrap, topic) == []


def test_the_secure_listener_lets_the_user_in(broker: EmbeddedKafka, topic_prefix: str) -> None:
    topic = topic_prefix + "orders"
    create_topic(broker.bootstrap, topic)
    produce(broker.bootstrap, topic, b"plain")
    assert read(broker.bootstrap, topic, secure_settings(broker, USER.password)) == [b"plain"]


def test_the_secure_listener_refuses_a_wrong_password(broker: EmbeddedKafka) -> None:
    refused: list[str] = []
    settings = secure_settings(broker, "wrong")
    admin = AdminClient({**settings, "log_level": 0}, error_cb=lambda error: refused.append(error.name()))
    deadline = time.monotonic() + TIMEOUT_S
    while "_AUTHENTICATION" not in refused and time.monotonic() < deadline:
        admin.poll(0.1)
    assert "_AUTHENTICATION" in refused


def test_a_stopped_and_a_killed_broker_come_back_with_port_and_data(tmp_path: Path) -> None:
    broker = EmbeddedKafka(tmp_path / "kafka", security=USER)
    try:
        bootstrap = broker.start().bootstrap
        secure = broker.secure_environment
        create_topic(bootstrap, "orders")
        produce(bootstrap, "orders", b"before")
        broker.stop()
        assert not broker.is_running
        assert broker.start().bootstrap == bootstrap
        produce(bootstrap, "orders", b"between")
        broker.kill()
        assert not broker.is_running
        assert broker.start().bootstrap == bootstrap
        assert broker.secure_environment == secure
        assert read(bootstrap, "orders") == [b"before", b"between"]
    finally:
        broker.close()
    assert (tmp_path / "kafka").exists(), "data that somebody named is kept"


def test_temporary_data_is_removed_at_the_end() -> None:
    with EmbeddedKafka() as broker:
        directory, pid = broker.dir, broker.pid
        assert directory.exists()
    assert not directory.exists()
    assert pid is not None
    assert not psutil.pid_exists(pid)


def test_a_taken_port_is_one_clear_sentence(tmp_path: Path) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        with pytest.raises(EmbeddedKafkaError, match=f"Port {port} on 127.0.0.1 is taken.*--port"):
            EmbeddedKafka(tmp_path, port).start()


def test_a_broker_that_cannot_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    broker = EmbeddedKafka(tmp_path, overrides={"num.io.threads": "many"})
    with pytest.raises(EmbeddedKafkaError, match=r"num\.io\.threads"):
        broker.start()
    assert not broker.is_running


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends a child with its parent on Linux only")
def test_the_broker_dies_with_a_killed_parent(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from rehearsal.kafka import EmbeddedKafka;"
        "print(EmbeddedKafka(Path(sys.argv[1])).start().pid, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        broker = psutil.Process(int(parent.stdout.readline()))
        os.kill(parent.pid, signal.SIGKILL)
    broker.wait(TIMEOUT_S)
