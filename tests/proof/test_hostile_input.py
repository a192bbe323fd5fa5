"""Whatever a record holds, it becomes a decision or one dead letter, and the worker lives."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from confluent_kafka import Producer
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import orders, promotions, reservations
from agents.intake import HOME_OF, Intake, Mapper
from schemas.topics import DEAD_LETTERS, INPUTS
from streams.engine.stage import LOG_APPEND_TIME
from streams.ledger.effects import Effects
from streams.ledger.rows import MemoryStore, Rows
from streams.ledger.terms import Terms
from streams.settings.mapping import compile_mapping, map_message
from tests.audit.answers import every_input_is_decided_or_a_dead_letter as every_input
from tests.audit.evidence import ORDER_PLACED
from tests.audit.report import audit, name_of
from tests.proof.hostile import hostile
from tests.support.audit import order, promotion_start
from tests.support.evidence import gather
from tests.support.kafka import KafkaUnderTest
from tests.support.system import System, system, wait_until

TASKS = 4
STAGES = {stage.topic: stage for stage in (agent.stage(str) for agent in (orders, promotions, reservations))}
EXPRESSION = "{order: {ref: no, promotionId: sale, items: rows[].{sku: sku, quantity: n}}}"
TIMES = st.sampled_from([-1, 0, 1, 946_684_799_999, 4_133_980_800_000, 1_700_000_000_000, 2**62, -(2**62)])


@dataclass
class Rec:
    """A record as the engine hands it to a stage."""

    value: bytes | None
    key: bytes | None
    offset: int
    timestamp: int
    timestamp_type: int
    headers: Sequence[tuple[str, bytes]]


@st.composite
def records(draw: st.DrawFn, topic: str) -> Rec:
    """Hostile ones, and any bytes."""
    made = hostile(topic, random.Random(draw(st.integers(0, 2**32))))
    value = draw(st.just(made.value) | st.binary(max_size=300) | st.none())
    stamped = draw(st.sampled_from([0, LOG_APPEND_TIME, -1]))
    headers = cast(Sequence[tuple[str, bytes]], made.headers)  # Kafka has headers without a value, too
    return Rec(value, made.key, draw(st.integers(0, 2**40)), draw(TIMES), stamped, headers)


def mapped(value: bytes | None) -> bytes:
    return map_message(compile_mapping(EXPRESSION, "order-placed"), value)


@pytest.mark.parametrize("mapper", [None, mapped], ids=["our shape", "a mapping"])
@pytest.mark.parametrize("topic", INPUTS)
@settings(max_examples=60)
@given(data=st.data())
def test_intake_decides_passes_on_or_turns_away_any_record(
    topic: str, mapper: Mapper | None, data: st.DataObject
) -> None:
    record = data.draw(records(topic))
    effects = Effects()
    intake = Intake(topic, topic, Terms(), STAGES[HOME_OF[topic]], TASKS, mapper)
    intake.decide(data.draw(st.integers(0, TASKS - 1)), [record], Rows(MemoryStore()), effects)
    letters = [send for send in effects.sends if send.topic == DEAD_LETTERS]
    assert len(letters) <= 1
    if letters:
        assert letters[0].value == record.value and effects.sends == letters


@pytest.mark.parametrize("topic", sorted(STAGES))
@settings(max_examples=60)
@given(data=st.data())
def test_a_record_on_a_command_topic_that_is_none_of_ours_is_one_dead_letter(
    topic: str, data: st.DataObject
) -> None:
    record = data.draw(records(ORDER_PLACED))
    effects = Effects()
    STAGES[topic].decide(0, [record], Rows(MemoryStore()), effects)
    assert [send.topic for send in effects.sends] == [DEAD_LETTERS]
    assert effects.sends[0].value == record.value


EACH = 250
SEED = 17


@pytest.fixture
def sale(kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path) -> Iterator[System]:
    stock = {sku: {"LOC-1": 1_000} for sku in ("A", "B")}
    with system(kafka.bootstrap, topic_prefix, tmp_path, stock) as built:
        yield built


def throw(sale: System) -> int:
    """Hostile records at each input topic; returns how many."""
    producer = Producer({"bootstrap.servers": sale.bootstrap, "linger.ms": 5, "message.max.bytes": 4_000_000})
    chance = random.Random(SEED)
    for topic in INPUTS:
        for _ in range(EACH):
            made = hostile(topic, chance)
            producer.produce(sale.prefix + topic, made.value, made.key, headers=list(made.headers))
        producer.flush(60)
    return EACH * len(INPUTS)


@pytest.mark.kafka
@pytest.mark.slow
def test_a_worker_lives_through_hostile_records_and_answers_each_once(sale: System) -> None:
    worker = sale.start_worker()
    sale.publish("promotion-start", [promotion_start("SOUND", {"A": 10})])
    sale.wait_for("promotion-results", 1)
    throw(sale)
    sale.publish("order-placed", [order("LAST", "SOUND", ("A", 1))])

    def all_answered() -> bool:
        return not audit(gather(sale, over=False)).findings[name_of(every_input)]

    wait_until(all_answered, "every record is answered", 120)
    outcomes = [message.json for message in sale.read("order-outcomes")]
    assert [each["outcome"] for each in outcomes if each["orderRef"] == "LAST"] == ["ACCEPTED"]
    assert worker.process.poll() is None and "worker_restarts" not in worker.log
