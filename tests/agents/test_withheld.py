"""What the consumer would not read, or would not fit into `dead-letters`, is one dead letter all the same."""

from __future__ import annotations

import pytest

from agents import orders, promotions, reservations
from agents.intake import HOME_OF, Intake, Mapper
from schemas.reasons import Reason
from schemas.topics import DEAD_LETTERS, INPUTS, MAX_INPUT_BYTES, MAX_MESSAGE_BYTES, ORDER_PLACED
from streams.engine.stage import LOG_APPEND_TIME, Withheld
from streams.ledger.effects import Effects, Send
from streams.ledger.rows import MemoryStore, Rows
from streams.ledger.terms import Terms
from streams.settings.mapping import compile_mapping, map_message
from tests.agents.test_intake import Rec

NOON_MS = 1_700_000_000_000
STAGES = {stage.topic: stage for stage in (agent.stage(str) for agent in (orders, promotions, reservations))}
WITHHELD = Withheld(7, NOON_MS, LOG_APPEND_TIME, "The batch of this record is a bomb.")
HEADERS_BYTES = 16_384


def mapped(value: bytes | None) -> bytes:
    return map_message(compile_mapping("{order: {ref: no}}", ORDER_PLACED), value)


def the_letter(effects: Effects) -> Send:
    """The one thing that is sent; it fits into its topic."""
    [letter] = effects.sends
    assert letter.topic == DEAD_LETTERS
    length = sum(len(name) + len(content) for name, content in letter.headers or ())
    assert length < HEADERS_BYTES
    assert len(letter.key or b"") + len(letter.value or b"") + HEADERS_BYTES <= MAX_MESSAGE_BYTES
    return letter


def taken_in(topic: str, record: Rec | Withheld, mapper: Mapper | None = None) -> Send:
    effects = Effects()
    intake = Intake(topic, topic, Terms(), STAGES[HOME_OF[topic]], 4, mapper)
    intake.decide(0, [record], Rows(MemoryStore()), effects)
    return the_letter(effects)


@pytest.mark.parametrize("mapper", [None, mapped], ids=["our shape", "a mapping"])
@pytest.mark.parametrize("topic", INPUTS)
def test_a_withheld_record_of_an_input_is_invalid_for_what_the_consumer_says(
    topic: str, mapper: Mapper | None
) -> None:
    letter = taken_in(topic, WITHHELD, mapper)
    headers = dict(letter.headers or ())
    assert (letter.key, letter.value) == (None, None)
    assert headers["reason"] == Reason.INVALID.value.encode() and headers["source-offset"] == b"7"
    assert headers["error"] == WITHHELD.why.encode()


@pytest.mark.parametrize("topic", sorted(STAGES))
def test_a_withheld_record_of_a_command_topic_is_a_dead_letter(topic: str) -> None:
    effects = Effects()
    STAGES[topic].decide(0, [WITHHELD], Rows(MemoryStore()), effects)
    assert dict(the_letter(effects).headers or ())["error"] == WITHHELD.why.encode()


@pytest.mark.parametrize(
    ("key_bytes", "value_bytes", "kept"),
    [
        (10, MAX_INPUT_BYTES - 10, (True, True)),
        (10, MAX_INPUT_BYTES - 9, (True, False)),
        (MAX_INPUT_BYTES, 1, (True, False)),
        (MAX_INPUT_BYTES + 1, 1, (False, False)),
    ],
)
@pytest.mark.parametrize("mapper", [None, mapped], ids=["our shape", "a mapping"])
def test_of_what_would_not_fit_into_dead_letters_only_the_headers_are_there(
    key_bytes: int, value_bytes: int, kept: tuple[bool, bool], mapper: Mapper | None
) -> None:
    letter = taken_in(ORDER_PLACED, Rec(b"x" * value_bytes, b"k" * key_bytes), mapper)
    assert (letter.key is not None, letter.value is not None) == kept
    error = dict(letter.headers or ())["error"].decode()
    assert ("too large to be kept" in error) is not all(kept)


def test_an_order_that_could_not_be_sent_home_is_turned_away_though_it_can_be_read() -> None:
    order = b'{"order":{"ref":"O","promotionId":"P","items":[{"sku":"A","quantity":1}]}%s}'
    letter = taken_in(ORDER_PLACED, Rec(order % (b" " * MAX_INPUT_BYTES)))
    error = dict(letter.headers or ())["error"].decode()
    assert letter.value is None and f"of at most {MAX_INPUT_BYTES:,}" in error
