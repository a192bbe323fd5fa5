"""Wherever a message is turned away: one record, one count under its reason, one line in the log."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.headers import DeadLetterHeaders
from schemas.reasons import RECOMMENDATIONS, Reason
from schemas.topics import DEAD_LETTERS
from streams.ledger import orders, promotions
from streams.ledger.commands import Tick
from streams.ledger.effects import Effects
from streams.ledger.inputs import CancelOrder, PlaceOrder
from streams.ledger.rows import MemoryStore, Rows
from streams.ledger.terms import Source
from tests.agents.test_intake import Rec, taken_in
from tests.agents.test_shell import stage
from tests.streams.ledger.orders.support import TERMS
from tests.streams.ledger.promotions.stage import NOON_MS, end_of, start_of

ROOT = Path(__file__).parents[2]


def after(decide: Callable[..., None], *commands: tuple[int, Any]) -> Effects:
    """What the last of the commands, each at its time, causes."""
    rows, effects = Rows(MemoryStore()), Effects()
    for at_ms, command in commands:
        effects = Effects()
        decide(rows, command, at_ms, effects)
    return effects


def placed(quantity: int, offset: int) -> PlaceOrder:
    source = Source("order-placed", 0, offset, b"key")
    return PlaceOrder(source, TERMS, NOON_MS, "O-1", "P", (("A", quantity),), b"order %d" % offset)


def cancelled(quantity: int, offset: int) -> CancelOrder:
    source = Source("order-cancelled", 0, offset, b"key")
    return CancelOrder(source, TERMS, NOON_MS, "O-1", "P", "RMA", (("A", quantity),), b"cancel %d" % offset)


def unreadable_input() -> Effects:
    return taken_in("order-placed", b"no JSON")


def unreadable_command() -> Effects:
    effects = Effects()
    stage().decide(0, [Rec(b"\xc1 poison", b"A", 9)], Rows(MemoryStore()), effects)
    return effects


def given_up_with(envelope: Any) -> Effects:
    effects = Effects()
    record = Rec(b"any", b"A", 9, headers=(("envelope", envelope),))
    stage().give_up(0, record, "it fails each time", Rows(MemoryStore()), effects)
    return effects


def given_up_with_a_foreign_envelope() -> Effects:
    return given_up_with(b"\x93\x95\xa1\xff")  # a topic's name that is not UTF-8


def given_up_with_a_header_without_a_value() -> Effects:
    return given_up_with(None)


def order_with_other_content() -> Effects:
    return after(orders.decide, (NOON_MS, placed(1, 0)), (NOON_MS, placed(2, 1)))


def cancel_with_other_content() -> Effects:
    return after(orders.decide, (NOON_MS, cancelled(1, 0)), (NOON_MS, cancelled(2, 1)))


def start_with_other_content() -> Effects:
    commands = (NOON_MS, start_of((("A", 1),))), (NOON_MS, start_of((("A", 2),), offset=1))
    return after(promotions.decide, *commands)


def start_after_its_own_end() -> Effects:
    return after(promotions.decide, (NOON_MS, start_of((("A", 1),), expires_at_ms=NOON_MS - 1)))


def end_of_nothing() -> Effects:
    later_ms = NOON_MS + TERMS.claim_grace_ms
    return after(promotions.decide, (NOON_MS, end_of()), (later_ms, Tick(later_ms)))


ORDER = {"promotion": "P", "order": "O-1"}
PROMOTION = {"promotion": "FLASH-1"}
WAYS = [
    (unreadable_input, Reason.INVALID, b"no JSON", {}),
    (unreadable_command, Reason.INVALID, b"\xc1 poison", {}),
    (given_up_with_a_foreign_envelope, Reason.UNPROCESSABLE, b"any", {}),
    (given_up_with_a_header_without_a_value, Reason.UNPROCESSABLE, b"any", {}),
    (order_with_other_content, Reason.CONFLICT, b"order 1", ORDER),
    (cancel_with_other_content, Reason.CONFLICT, b"cancel 1", ORDER),
    (start_with_other_content, Reason.CONFLICT, b"start 1", PROMOTION),
    (start_after_its_own_end, Reason.INVALID, b"start 0", PROMOTION),
    (end_of_nothing, Reason.NO_PROMOTION, b"end 0", PROMOTION),
]


@pytest.mark.parametrize(
    ("way", "reason", "value", "subject"), WAYS, ids=lambda value: getattr(value, "__name__", "")
)
def test_it_is_a_record_a_count_and_a_line_in_the_log(
    way: Callable[[], Effects], reason: Reason, value: bytes, subject: dict[str, str]
) -> None:
    effects = way()
    (send,) = [send for send in effects.sends if send.topic == DEAD_LETTERS]
    headers = DeadLetterHeaders.model_validate({name: raw.decode() for name, raw in send.headers or ()})
    assert (send.value, headers.reason, headers.recommendation) == (value, reason, RECOMMENDATIONS[reason])
    assert effects.dead_letters == {reason: 1}
    assert (effects.outcomes, effects.reasons) == ({}, {})
    (notice,) = effects.notices
    assert (notice.level, notice.event) == ("warning", "dead_letter")
    assert notice.fields == {
        **subject,
        "topic": headers.source_topic,
        "partition": headers.source_partition,
        "offset": headers.source_offset,
        "reason": reason,
        "error": headers.error,
        "recommendation": headers.recommendation,
    }


def test_there_is_no_other_way_to_dead_letters() -> None:
    """In the worker's rooms only one module names the topic at all."""
    named = {
        str(path.relative_to(ROOT))
        for room in ("streams/ledger", "streams/engine", "agents", "fluent")
        for path in (ROOT / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Name) and node.id == "DEAD_LETTERS"
    }
    assert named == {"streams/ledger/dead_letters.py"}
