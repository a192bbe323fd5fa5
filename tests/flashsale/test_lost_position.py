"""A position that the log no longer holds: nothing is skipped until a person says so (docs/operations.md)."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from flashsale.admin import create_topics
from schemas.topics import TASK_CHANGELOG
from streams.kafka import client_config
from streams.reader import read_to_end
from streams.settings import Settings, load_settings
from tests.flashsale.command import TIMEOUT_S, Command
from tests.flashsale.test_processes import said, terminated
from tests.support.fluent import FluentSimulator
from tests.support.system import wait_until


@pytest.fixture(scope="module")
def fluent() -> Iterator[FluentSimulator]:
    with FluentSimulator({"SKU-001": {"LOC-1": 100}}) as simulator:
        yield simulator


def send(settings: Settings, topic: str, *records: tuple[bytes | None, bytes | None]) -> None:
    producer = Producer(client_config(settings))
    for key, value in records:
        producer.produce(settings.prefixed(topic), value, key, partition=0)
    assert producer.flush(TIMEOUT_S) == 0


def dead_letters(settings: Settings, count: int) -> list[bytes]:
    """The values of all dead letters, once there are `count`."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        found = [message.value() or b"" for message in read_to_end(settings, "dead-letters")]
        if len(found) >= count:
            return found
        assert time.monotonic() < deadline, found


@pytest.fixture
def flashsale(environment: dict[str, str], tmp_path: Path, fluent: FluentSimulator) -> Command:
    """With one task, and topics."""
    config = tmp_path / "config.json"
    config.write_text('{"partitions": 1}')
    command = Command({**environment, "RESERVATION_CONFIG": str(config), **fluent.environment()})
    create_topics(load_settings(command.environment))
    return command


def last_words(process: subprocess.Popen[str]) -> str:
    """Why the worker ends."""
    assert process.stderr is not None
    line = next(line for line in process.stderr if '"worker_ends"' in line)
    return str(json.loads(line)["why"])


def said_before(process: subprocess.Popen[str], words: str) -> list[str]:
    """Read standard error up to a line with these words; returns what stood before it."""
    assert process.stderr is not None
    return list(takewhile(lambda line: words not in line, process.stderr))


def accept_the_loss(settings: Settings) -> None:
    """What docs/operations.md says for an input topic."""
    send(settings, TASK_CHANGELOG, (f"!p{settings.prefixed('order-placed')}/0".encode(), None))


def create_anew(settings: Settings, admin: AdminClient, *values: bytes, topic: str = "order-placed") -> None:
    """Delete a topic and create it again; send these records to order-placed."""
    name = settings.prefixed(topic)
    admin.delete_topics([name])[name].result(TIMEOUT_S)
    wait_until(lambda: name not in admin.list_topics().topics, "the topic is gone")
    create_topics(settings)
    send(settings, "order-placed", *((None, value) for value in values))


def test_deleted_undecided_records_stop_the_worker_until_their_loss_is_accepted(
    flashsale: Command, admin: AdminClient
) -> None:
    settings = load_settings(flashsale.environment)
    name = settings.prefixed("order-placed")
    send(settings, "order-placed", (None, b"first"))
    with flashsale.running("worker") as process:
        said(process, "ready")
        assert dead_letters(settings, 1) == [b"first"]
        terminated(process)

    send(settings, "order-placed", (None, b"second"), (None, b"third"))
    [deleted] = admin.delete_records([TopicPartition(name, 0, 2)]).values()
    deleted.result(TIMEOUT_S)
    with flashsale.running("worker") as process:
        why = last_words(process)
        assert f"{name}/0 was decided up to offset 1, but the log begins at 2" in why
        assert "A position that the log no longer holds" in why
        assert dead_letters(settings, 1) == [b"first"]

        accept_the_loss(settings)
        said(process, "ready")
        assert dead_letters(settings, 2) == [b"first", b"third"]
        assert terminated(process).status == 0


def aborted(settings: Settings, topic: str, count: int) -> int:
    """A transaction of somebody else's that is aborted; returns the offset after it."""
    name = settings.prefixed(topic)
    producer = Producer({**client_config(settings), "transactional.id": f"{name}-stranger"})
    producer.init_transactions(TIMEOUT_S)
    producer.begin_transaction()
    for _ in range(count):
        producer.produce(name, b"never an order", partition=0)
    producer.flush(TIMEOUT_S)
    producer.abort_transaction(TIMEOUT_S)
    return grouped(settings, lambda consumer: consumer.get_watermark_offsets(TopicPartition(name, 0))[1])


def grouped(settings: Settings, ask: Callable[[Consumer], int]) -> int:
    """What a consumer with the workers' group id is told; it joins nothing."""
    consumer = Consumer({**client_config(settings), "group.id": settings.prefixed("flashsale")})
    try:
        return ask(consumer)
    finally:
        consumer.close()


def test_an_aborted_transaction_that_retention_removes_is_no_loss(
    flashsale: Command, admin: AdminClient
) -> None:
    settings = load_settings(flashsale.environment)
    source = TopicPartition(settings.prefixed("order-placed"), 0)
    with flashsale.running("worker") as process:
        said(process, "ready")
        end = aborted(settings, "order-placed", 5)
        deadline = time.monotonic() + TIMEOUT_S
        while grouped(settings, lambda consumer: consumer.committed([source])[0].offset) < end:
            assert time.monotonic() < deadline, "the position over the aborted records was not written down"
            time.sleep(0.1)
        terminated(process)

    [deleted] = admin.delete_records([TopicPartition(source.topic, 0, end)]).values()
    deleted.result(TIMEOUT_S)
    with flashsale.running("worker") as process:
        said(process, "ready")
        send(settings, "order-placed", (None, b"unreadable"))
        assert dead_letters(settings, 1) == [b"unreadable"]
        assert terminated(process).status == 0


def test_a_topic_that_was_made_anew_while_workers_were_away_is_skipped_nowhere_however_long_it_is(
    flashsale: Command, admin: AdminClient
) -> None:
    settings = load_settings(flashsale.environment)
    send(settings, "order-placed", (None, b"old 1"), (None, b"old 2"))
    with flashsale.running("worker") as process:
        said(process, "ready")
        assert dead_letters(settings, 2) == [b"old 1", b"old 2"]
        terminated(process)

    new = [b"new %d" % number for number in range(5)]
    create_anew(settings, admin, *new)
    with flashsale.running("worker") as process:
        assert "was decided up to offset 2, but the topic was deleted and created again" in last_words(
            process
        )
        assert dead_letters(settings, 2) == [b"old 1", b"old 2"]

        accept_the_loss(settings)
        said(process, "ready")
        assert dead_letters(settings, 7) == [b"old 1", b"old 2", *new]
        assert terminated(process).status == 0


def test_a_topic_that_is_made_anew_under_a_running_worker_ends_it_loudly_and_is_skipped_nowhere(
    flashsale: Command, admin: AdminClient
) -> None:
    settings = load_settings(flashsale.environment)
    send(settings, "order-placed", (None, b"old 1"), (None, b"old 2"))
    with flashsale.running("worker") as process:
        said(process, "ready")
        assert dead_letters(settings, 2) == [b"old 1", b"old 2"]

        new = [b"new %d" % number for number in range(5)]
        create_anew(settings, admin, *new)
        assert "the topic was deleted and created again" in last_words(process)
        ends = said_before(process, '"stays_outside"')
        # One less where the worker that ran was new: its own takeover counts then.
        assert len([line for line in ends if '"worker_ends"' in line]) in (2, 3), "takeovers that failed"
        assert terminated(process).status == 0
    accept_the_loss(settings)
    with flashsale.running("worker") as process:
        said(process, "ready")
        assert set(dead_letters(settings, 7)) == {b"old 1", b"old 2", *new}
        assert terminated(process).status == 0


def test_a_changelog_that_is_made_anew_under_a_running_worker_ends_it(
    flashsale: Command, admin: AdminClient
) -> None:
    """Its rows are of the former changelog: the new one would have only what changes from now on."""
    settings = load_settings(flashsale.environment)
    send(settings, "order-placed", (None, b"first"))
    with flashsale.running("worker") as process:
        said(process, "ready")
        assert dead_letters(settings, 1) == [b"first"]
        create_anew(settings, admin, topic=TASK_CHANGELOG)
        why = last_words(process)
        assert f"{settings.prefixed(TASK_CHANGELOG)} was deleted and created again" in why
        assert "The changelog is lost" in why
