"""`flashsale tail`: what is committed, in the form that is asked for."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, Message, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from flashsale.cli.tail import _object
from schemas.times import milliseconds
from streams.kafka import client_config
from streams.settings import Settings, load_settings
from tests.flashsale.command import TIMEOUT_S, Command, InProcess, finished

Send = Callable[..., None]


@pytest.fixture
def shared(with_topics: Command) -> Settings:
    return load_settings(with_topics.environment)


@pytest.fixture
def send(shared: Settings) -> Send:
    producer = Producer(client_config(shared))

    def to(topic: str, value: bytes | None, key: str | None = None, **headers: str) -> None:
        producer.produce(shared.prefixed(topic), value, key, 0, headers=dict(headers))
        assert producer.flush(TIMEOUT_S) == 0

    return to


def test_a_line_shows_place_key_and_value(with_topics: Command, send: Send) -> None:
    send("order-outcomes", b'{"outcome": "ACCEPTED"}', "ORD-1")
    send("order-outcomes", b"\xffbell\x07\n", None)
    done = with_topics("tail", "order-outcomes", "--from-beginning", "--limit", "2")
    assert done.status == 0
    assert done.lines == ['0/0 ORD-1 {"outcome": "ACCEPTED"}', r"0/1 - \xffbell\x07\n"]
    assert done.err == "Reading order-outcomes from its beginning; Ctrl-C ends it.\n"


def test_values_are_printed_as_they_are(called_with_topics: InProcess, send: Send) -> None:
    send("promotion-results", '{"sku": "Grün"}'.encode(), "FLASH-1")
    done = called_with_topics("tail", "promotion-results", "--from-beginning", "--values", "--timeout", "1")
    assert (done.status, done.out) == (0, '{"sku": "Grün"}\n')


def test_as_json_a_record_has_everything(called_with_topics: InProcess, shared: Settings, send: Send) -> None:
    send("dead-letters", b"not JSON", "ORD-1", reason="INVALID")
    send("dead-letters", b'{"order": 1}')
    done = called_with_topics("tail", "dead-letters", "--from-beginning", "--json", "--limit", "2")
    first, second = map(json.loads, done.lines)
    assert first.pop("timestamp").endswith("Z")
    assert first == {
        "topic": shared.prefixed("dead-letters"),
        "partition": 0,
        "offset": 0,
        "key": "ORD-1",
        "headers": {"reason": "INVALID"},
        "value": "not JSON",
    }
    assert (second["key"], second["value"]) == (None, {"order": 1})


@pytest.mark.parametrize("unit", [1_000, 1_000_000])
def test_a_timestamp_that_is_no_time_is_printed_as_the_number_that_it_is(
    called: InProcess, admin: AdminClient, unit: int
) -> None:
    settings, at = load_settings(called.environment), 1_700_000_000_000
    any_time = {"message.timestamp.after.max.ms": str(2**63 - 1)}
    name = settings.prefixed("dead-letters")
    admin.create_topics([NewTopic(name, 1, 1, config=any_time)])[name].result(TIMEOUT_S)
    producer = Producer(client_config(settings))
    refused: list[object] = []
    for stamp in (at, at * unit):
        producer.produce(name, b"x", timestamp=stamp, on_delivery=lambda error, _: refused.append(error))
    assert (producer.flush(TIMEOUT_S), refused) == (0, [None, None])
    done = called("tail", "dead-letters", "--from-beginning", "--json", "--limit", "2", "--timeout", "20")
    assert [json.loads(line)["timestamp"] for line in done.lines] == ["2023-11-14T22:13:20.000Z", at * unit]


@pytest.mark.parametrize(
    "at_ms", [-1, -62_135_596_800_001, 0, 253_402_300_799_999, 253_402_300_800_000, 2**63 - 1]
)
@pytest.mark.parametrize(
    "value", [b"[" * 50_000, b"NaN", b"1e999", b'"\\ud800"', b"9" * 9_000, b"\xff"], ids=repr
)
def test_whatever_a_record_holds_is_one_line_of_json(at_ms: int, value: bytes) -> None:
    stamp = (TIMESTAMP_CREATE_TIME, at_ms)
    message = Message(topic="t", partition=0, offset=1, key=value, value=value, timestamp=stamp)
    line = _object(message)
    shown = json.loads(line, parse_constant=pytest.fail)
    assert line.decode().isprintable()
    assert shown["timestamp"] == at_ms or milliseconds(shown["timestamp"]) == at_ms
    assert shown["value"] == json.loads(value) if value.startswith(b'"') else shown["value"]


def test_it_waits_for_what_comes_until_the_limit(with_topics: Command, send: Send) -> None:
    send("reservation-releases", b"before")
    with with_topics.running("tail", "reservation-releases", "--limit", "1") as process:
        started(process)
        send("reservation-releases", b"after")
        assert finished(process).lines == ["0/1 - after"]
    assert process.returncode == 0


def test_an_interrupt_ends_it_without_complaint(with_topics: Command) -> None:
    with with_topics.running("tail", "reservation-results") as process:
        started(process)
        process.send_signal(signal.SIGINT)
        done = finished(process)
    assert (done.status, done.out, done.err) == (0, "", "")


def test_nothing_of_a_record_is_a_command_to_the_terminal(called_with_topics: InProcess, send: Send) -> None:
    controls = '{"sku": "A\x9b31mB\u202e"}'
    send("reservation-results", controls.encode(), "K\x9b2J")
    seen = ("tail", "reservation-results", "--from-beginning", "--limit", "1")
    line, record = called_with_topics(*seen), called_with_topics(*seen, "--json")
    assert line.lines == [r'0/0 K\x9b2J {"sku": "A\x9b31mB\u202e"}']
    assert record.out.strip().isprintable()
    assert json.loads(record.out)["value"] == json.loads(controls)


def test_what_was_not_committed_is_not_shown(called_with_topics: InProcess, shared: Settings) -> None:
    name = shared.prefixed("promotion-commands")
    producer = Producer(client_config(shared) | {"transactional.id": name})
    producer.init_transactions(TIMEOUT_S)
    for value, commit in ((b"committed", True), (b"aborted", False)):
        producer.begin_transaction()
        producer.produce(name, value, partition=0)
        producer.flush(TIMEOUT_S)
        if commit:
            producer.commit_transaction(TIMEOUT_S)
        else:
            producer.abort_transaction(TIMEOUT_S)
    done = called_with_topics("tail", "promotion-commands", "--from-beginning", "--values", "--timeout", "1")
    assert done.lines == ["committed"]


def test_a_missing_topic_is_one_sentence(called: InProcess) -> None:
    assert called("tail", "order-outcomes").refused("does not exist", "flashsale topics")


def started(process: subprocess.Popen[str]) -> None:
    """It says so once its place in the log is fixed."""
    assert process.stderr is not None
    assert process.stderr.readline().startswith("Reading")
