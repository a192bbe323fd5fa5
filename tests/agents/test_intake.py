"""Intake: decides at home, sends good events of others home unchanged, rejects the rest, loses nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import orders, promotions
from agents.intake import HOME_OF, Intake, Mapper
from schemas.headers import DeadLetterHeaders
from schemas.times import iso_utc
from schemas.topics import DEAD_LETTERS, ORDER_COMMANDS, PROMOTION_COMMANDS, SKU_COMMANDS
from streams.engine import portion
from streams.engine.partitioner import partition_of
from streams.engine.stage import LOG_APPEND_TIME, seen_ms
from streams.engine.unprocessable import decide
from streams.ledger.commands import decode_sku_command, order_key
from streams.ledger.effects import Effects, Send
from streams.ledger.orders.state import ORDERS
from streams.ledger.rows import MemoryStore, Rows
from streams.ledger.terms import ENVELOPE_HEADER, Envelope, Terms
from streams.settings.mapping import compile_mapping, map_message
from tests.support.audit import order, promotion_start

TERMS = Terms(claim_grace_ms=77)
NOON_MS = 1_700_000_000_000


@dataclass
class Rec:
    value: bytes | None
    key: bytes | None = None
    offset: int = 0
    timestamp: int = NOON_MS
    timestamp_type: int = LOG_APPEND_TIME
    headers: Sequence[tuple[str, bytes]] = ()


TASKS = 4
STAGES = {stage.topic: stage for stage in (agent.stage(str) for agent in (orders, promotions))}


def intake_of(topic: str, mapper: Mapper | None = None) -> Intake:
    return Intake(topic, f"shop-{topic}", TERMS, STAGES[HOME_OF[topic]], TASKS, mapper)


def elsewhere(topic: str) -> int:
    """A partition of which O-1, O-9 and P are not at home."""
    homes = {partition_of(key, TASKS) for key in (b"O-1", b"O-9", b"P")}
    return min(set(range(TASKS)) - homes)


def taken_in(
    topic: str,
    *values: bytes | None,
    intake: Intake | None = None,
    partition: int | None = None,
    rows: Rows | None = None,
    timestamp_type: int = LOG_APPEND_TIME,
) -> Effects:
    effects, number = Effects(), elsewhere(topic) if partition is None else partition
    records = [Rec(v, b"k%d" % i, 40 + i, timestamp_type=timestamp_type) for i, v in enumerate(values)]
    (intake or intake_of(topic)).decide(number, records, rows or Rows(MemoryStore()), effects)
    return effects


def envelope(send: Send) -> Envelope:
    [(name, raw)] = send.headers or []
    assert name == ENVELOPE_HEADER
    return msgspec.msgpack.decode(raw, type=Envelope)


def encoded(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode()


ORDER = b'{"order":{"promotionId":"P","ref":"O-1","items":[{"sku":"A","quantity":1}]}}'


def test_an_order_that_is_at_home_is_decided_where_it_is_read() -> None:
    rows = Rows(MemoryStore())
    [send] = taken_in("order-placed", ORDER, partition=partition_of(b"O-1", TASKS), rows=rows).sends
    claim = decode_sku_command(send.value or b"")
    assert (send.topic, claim.order_ref, claim.placed_at_ms) == (SKU_COMMANDS, "O-1", NOON_MS)
    assert rows.get(ORDERS, order_key("O-1", "P")) is not None
    assert seen_ms(rows, ORDER_COMMANDS) == seen_ms(rows, "order-placed") == NOON_MS


@pytest.mark.parametrize("more", [0, 1, 2])
def test_home_is_the_task_that_reads_the_partition_however_many_partitions_the_topic_has(more: int) -> None:
    home = partition_of(b"O-1", TASKS) + more * TASKS
    assert [send.topic for send in taken_in("order-placed", ORDER, partition=home).sends] == [SKU_COMMANDS]


def test_an_order_with_its_producers_time_is_sent_home_even_where_it_is_at_home() -> None:
    effects = taken_in("order-placed", ORDER, partition=partition_of(b"O-1", TASKS), timestamp_type=0)
    assert [send.topic for send in effects.sends] == [ORDER_COMMANDS]


def test_a_start_and_an_end_are_decided_at_the_home_of_their_promotion() -> None:
    home, rows = partition_of(b"P", TASKS), Rows(MemoryStore())
    start = encoded(promotion_start("P", {"A": 1, "B": 2}))
    end = encoded({"promotion": {"id": "P"}})
    started = taken_in("promotion-start", start, partition=home, rows=rows)
    ended = taken_in("promotion-end", end, partition=home, rows=rows)
    assert [send.topic for send in started.sends + ended.sends] == [SKU_COMMANDS] * 4


def test_time_does_not_go_back_for_what_is_decided_at_home() -> None:
    rows, home = Rows(MemoryStore()), partition_of(b"O-1", TASKS)
    late, early = Rec(ORDER), Rec(ORDER.replace(b'"P"', b'"Q"'), offset=1, timestamp=NOON_MS - 7_000)
    intake_of("order-placed").decide(home, [late, early], rows, Effects())
    assert seen_ms(rows, ORDER_COMMANDS) == NOON_MS


OUTSIDE_SENSE = {
    "microseconds": NOON_MS * 1_000,
    "nanoseconds": NOON_MS * 1_000_000,
    "seconds": NOON_MS // 1_000,
    "negative": -NOON_MS,
    "never set": -1,
    "a moment before 2000": 946_684_799_999,
    "a moment after 2100": 4_133_980_800_000,
}


@pytest.mark.parametrize("kind", [0, LOG_APPEND_TIME])
@pytest.mark.parametrize("at", OUTSIDE_SENSE.values(), ids=OUTSIDE_SENSE)
def test_a_timestamp_outside_sense_is_invalid_and_moves_no_clock(at: int, kind: int) -> None:
    rows, effects, home = Rows(MemoryStore()), Effects(), partition_of(b"O-1", TASKS)
    before, odd = Rec(b"x", timestamp=NOON_MS - 5), Rec(ORDER, offset=1, timestamp=at, timestamp_type=kind)
    after = Rec(ORDER.replace(b'"P"', b'"Q"'), offset=2)
    intake_of("order-placed").decide(home, [before, odd, after], rows, effects)
    _, dead, claim = effects.sends
    headers = DeadLetterHeaders.model_validate({name: value.decode() for name, value in dead.headers or []})
    assert (dead.topic, dead.value, headers.reason) == (DEAD_LETTERS, ORDER, "INVALID")
    assert str(at) in headers.error
    assert headers.failed_at == iso_utc(NOON_MS - 5)
    assert decode_sku_command(claim.value or b"").placed_at_ms == NOON_MS
    assert {seen_ms(rows, topic) for topic in ("order-placed", ORDER_COMMANDS)} == {NOON_MS}


@pytest.mark.parametrize("at", [946_684_800_000, 4_133_980_799_999])
def test_the_years_2000_to_2100_are_within_sense(at: int) -> None:
    effects = Effects()
    intake_of("order-placed").decide(
        elsewhere("order-placed"), [Rec(ORDER, timestamp=at)], Rows(MemoryStore()), effects
    )
    assert [(send.topic, envelope(send).placed_at_ms) for send in effects.sends] == [(ORDER_COMMANDS, at)]


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_failed_at_is_a_time_of_its_schema_whatever_the_timestamps_are(timestamps: list[int]) -> None:
    effects = Effects()
    records = [Rec(b"x", offset=number, timestamp=at) for number, at in enumerate(timestamps)]
    intake_of("order-placed").decide(0, records, Rows(MemoryStore()), effects)
    assert len(effects.sends) == len(timestamps)
    for send in effects.sends:
        DeadLetterHeaders.model_validate({name: value.decode() for name, value in send.headers or []})


def test_an_order_goes_on_with_its_very_bytes_under_the_orders_key() -> None:
    value = b'  {"order": {"promotionId":"P","ref":"O-1","items":[{"sku":"A","quantity":1}],"x":0}}'
    [send] = taken_in("order-placed", value).sends
    assert (send.topic, send.key, send.value) == (ORDER_COMMANDS, b"O-1", value)


def test_the_envelope_names_the_source_the_time_and_the_terms() -> None:
    [send] = taken_in("order-placed", encoded(order("O-1", "P", ("A", 1)))).sends
    found = envelope(send)
    assert (found.source.topic, found.source.partition, found.source.offset) == (
        "shop-order-placed",
        elsewhere("order-placed"),
        40,
    )
    assert found.source.key == b"k0"
    assert found.placed_at_ms == NOON_MS
    assert found.terms.claim_grace_ms == 77


def test_a_start_goes_to_its_promotions_log() -> None:
    [send] = taken_in("promotion-start", encoded(promotion_start("P", {"A": 1}))).sends
    assert (send.topic, send.key) == (PROMOTION_COMMANDS, b"P")


def test_an_unusual_duration_is_taken_with_a_warning() -> None:
    effects = taken_in("promotion-start", encoded(promotion_start("P", {"A": 1}, durationMinutes=5)))
    assert [send.topic for send in effects.sends] == [PROMOTION_COMMANDS]
    fields = effects.notices[0].fields
    assert (fields["promotion"], fields["minutes"]) == ("P", 5) and fields["recommendation"]


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\xff\xfe",
        b"[]",
        b'{"order":{"ref":"O","promotionId":"P","items":[{"sku":"A","quantity":-1}]}}',
        b'{"order":{"ref":"O","promotionId":"P","items":[{"sku":"A","quantity":"2"}]}}',
    ],
)
def test_what_can_not_be_read_is_one_dead_letter_with_its_bytes_and_its_neighbours_go_on(
    value: bytes | None,
) -> None:
    good = encoded(order("O-1", "P", ("A", 1)))
    effects = taken_in("order-placed", good, value, good)
    assert [send.topic for send in effects.sends] == [ORDER_COMMANDS, DEAD_LETTERS, ORDER_COMMANDS]
    dead = effects.sends[1]
    headers = dict(dead.headers or [])
    assert (dead.key, dead.value) == (b"k1", value)
    assert headers["source-topic"] == b"shop-order-placed" and headers["source-offset"] == b"41"
    assert headers["reason"] == b"INVALID" and headers["error"] and headers["recommendation"]
    assert headers["failed-at"] == iso_utc(NOON_MS).encode()


def mapped(expression: Any) -> Intake:
    mapping = compile_mapping(expression, "inputMapping.order-placed")
    return intake_of("order-placed", partial(map_message, mapping))


FOREIGN = {
    "order": {
        "ref": "no",
        "promotionId": "campaign",
        "items": "baskets[].lines[].{sku: article, quantity: count}",
    }
}


def test_foreign_json_is_mapped_and_both_forms_travel() -> None:
    value = encoded(
        {"no": "O-9", "campaign": "P", "baskets": [{"lines": [{"article": "A", "count": 2}]}, {"lines": []}]}
    )
    [send] = taken_in("order-placed", value, intake=mapped(FOREIGN)).sends
    assert (send.key, send.value) == (b"O-9", value)
    assert json.loads(envelope(send).mapped or b"")["order"]["items"] == [{"sku": "A", "quantity": 2}]


def test_a_mapping_that_does_not_yield_the_shape_makes_a_dead_letter() -> None:
    effects = taken_in("order-placed", encoded({"no": "O-9"}), intake=mapped(FOREIGN))
    assert [send.topic for send in effects.sends] == [DEAD_LETTERS]


def test_a_mapping_that_raises_makes_one_dead_letter_and_stands_in_nobodys_way() -> None:
    intake = mapped(
        {"order": {"ref": "no", "promotionId": "sale", "items": "lines[?n > `0`].{sku: a, quantity: n}"}}
    )
    good = [encoded({"no": ref, "sale": "P", "lines": [{"a": "A", "n": 1}]}) for ref in ("O-1", "O-9")]
    bad = encoded({"no": "O-5", "sale": "P", "lines": [{"a": "A", "n": "two"}]})
    effects = taken_in("order-placed", good[0], bad, good[1], intake=intake)
    assert [send.topic for send in effects.sends] == [ORDER_COMMANDS, DEAD_LETTERS, ORDER_COMMANDS]
    assert effects.sends[1].value == bad
    assert dict(effects.sends[1].headers or [])["reason"] == b"INVALID"


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_every_input_yields_a_command_or_a_dead_letter(values: list[bytes]) -> None:
    effects = taken_in("order-placed", *values, timestamp_type=0)
    assert len(effects.sends) == len(values)
    assert all(send.value == value for send, value in zip(effects.sends, values, strict=True))


def test_a_portion_ends_between_two_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left of the fetch is decided later; the events before are decided as ever."""
    monkeypatch.setattr(portion, "MAX_BYTES", 1)
    monkeypatch.setattr(portion, "LOOK_EVERY", 1)
    effects = Effects()
    records = [Rec(encoded(order(f"O-{n}", "P", ("A", 1))), b"k", 40 + n) for n in range(3)]
    decided = decide(intake_of("order-placed"), "order-placed/0", records, Rows(MemoryStore()), effects)
    assert decided == 1
    assert len(effects.sends) == 1
