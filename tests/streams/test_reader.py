"""Reading topics to their end: what is committed and nothing else, however the log ends."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from flashsale.admin.topics import create_topics
from schemas.topics import ORDER_COMMANDS, ORDER_OUTCOMES, SKU_COMMANDS
from streams.kafka import consumer_config, producer_config
from streams.reader import Reader, Span, headers_of, read_to_end, spans_of
from streams.settings import ConfigurationError, Settings, load_settings
from tests.support.kafka import KafkaUnderTest
from tests.support.odd_records import send

TIMEOUT_S = 15.0
ODD = 100
pytestmark = pytest.mark.kafka


@pytest.fixture
def settings(kafka: KafkaUnderTest, topic_prefix: str) -> Settings:
    return load_settings({"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap, "TOPIC_PREFIX": topic_prefix})


def test_a_log_that_ends_with_an_aborted_transaction_is_read_to_its_end(settings: Settings) -> None:
    create_topics(settings)
    producer = Producer(producer_config(settings) | {"transactional.id": settings.prefixed("reader-test")})
    producer.init_transactions(TIMEOUT_S)
    for topic, value, end in (
        (ORDER_COMMANDS, b"first", producer.commit_transaction),
        (SKU_COMMANDS, b"second", producer.commit_transaction),
        (SKU_COMMANDS, b"aborted", producer.abort_transaction),
    ):
        producer.begin_transaction()
        producer.produce(settings.prefixed(topic), value, partition=0)
        producer.flush(TIMEOUT_S)
        end(TIMEOUT_S)
    found = [message.value() for message in read_to_end(settings, ORDER_COMMANDS, SKU_COMMANDS)]
    assert sorted(filter(None, found)) == [b"first", b"second"]
    assert list(read_to_end(settings, ORDER_OUTCOMES)) == []


def test_a_topic_that_does_not_exist_is_one_sentence(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match=r"order-outcomes does not exist; create it with"):
        list(read_to_end(settings, ORDER_OUTCOMES))


class Told:
    """A consumer that hands out what librdkafka says of a group, before a record."""

    def consume(self, most: int, timeout_s: float) -> list[Any]:
        denied = KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)
        return [SimpleNamespace(error=lambda: denied), SimpleNamespace(error=lambda: None)]


def test_a_reader_needs_no_right_on_a_group_that_it_never_joins() -> None:
    """Seen: `flashsale tail` on a broker with ACLs, as soon as librdkafka had looked for a coordinator."""
    assert len(Reader(Told(), []).poll(0.0)) == 1  # type: ignore[arg-type]


def test_a_header_whose_name_is_no_text_keeps_no_record_from_being_read(settings: Settings) -> None:
    """Seen: `flashsale tail --json` ended with a trace. The binding crashes where it is asked again, and at
    the first of them once the interpreter has made its call quick, which a few records suffice for.
    """
    create_topics(settings)
    topic = settings.prefixed(ORDER_OUTCOMES)
    odd = send(settings.require_kafka(), topic, 0, b"odd", [(b"reason", b"x"), (b"\xff\xfe", b"1")], ODD)
    asyncio.run(odd)
    producer = Producer(producer_config(settings))
    for _ in range(ODD):
        producer.produce(topic, b"sound", partition=0, headers=[("reason", b"y")])
    producer.flush(TIMEOUT_S)
    found = list(read_to_end(settings, ORDER_OUTCOMES))
    for _ in range(2):
        told = [(each.value(), headers_of(each)) for each in [*reversed(found), *found]]
        assert told[:ODD] == [(b"sound", [("reason", b"y")])] * ODD
        assert told[ODD : 3 * ODD] == [(b"odd", [])] * 2 * ODD


def test_a_partition_whose_times_nobody_could_look_up_is_no_empty_one(settings: Settings) -> None:
    """Seen: the error came beside the partition, with the time in the place of an offset, and all that the
    partition held was left out."""
    create_topics(settings)
    consumer = Consumer(consumer_config(settings, "reader"))
    name = settings.prefixed(SKU_COMMANDS)
    spans = [*spans_of(consumer, [name]), Span(name, 999, 0, 100)]
    with pytest.raises(KafkaException, match="Unknown partition"):
        Reader(consumer, spans).skip_to(1_700_000_000_000)
    consumer.close()
