"""The shell of a stage: decode, decide, in order; poison is a dead letter; time never goes back."""

from __future__ import annotations

import pytest

from agents import orders, reservations
from agents.shell import CommandStage
from schemas.topics import DEAD_LETTERS, ORDER_COMMANDS, SKU_COMMANDS
from streams.engine.stage import seen_ms
from streams.ledger.commands import Claim, HoldConfirmed, Reserve, Tick, decode_sku_command, encode
from streams.ledger.effects import Effects
from streams.ledger.rows import MemoryStore, Rows
from streams.ledger.terms import ENVELOPE_HEADER, Envelope, Source, Terms
from tests.agents.test_intake import NOON_MS, ORDER, OUTSIDE_SENSE, Rec

FAR_MS = 2**41


def stage() -> CommandStage:
    return reservations.stage(lambda topic: f"x-{topic}")


def opened(rows: Rows) -> None:
    commands = [Reserve("P", "A", 5, FAR_MS, Terms()), HoldConfirmed("P", "A", 1, 5)]
    stage().decide(0, [Rec(encode(command)) for command in commands], rows, Effects())


@pytest.mark.parametrize("poison", [b"\xc1 poison", b"\x91" * 100_000], ids=["no command", "nested deep"])
def test_poison_between_two_claims_is_a_dead_letter_and_both_claims_are_decided(poison: bytes) -> None:
    rows, effects = Rows(MemoryStore()), Effects()
    opened(rows)
    claims = [encode(Claim("P", "A", 1, f"O-{i}", 1, 0, 0)) for i in range(2)]
    records = [Rec(claims[0]), Rec(poison, b"A", 9), Rec(claims[1])]
    stage().decide(0, records, rows, effects)
    assert [send.topic for send in effects.sends] == [ORDER_COMMANDS, DEAD_LETTERS, ORDER_COMMANDS]
    assert (effects.sends[1].key, effects.sends[1].value) == (b"A", poison)
    assert dict(effects.sends[1].headers or [])["source-topic"] == b"x-sku-commands"


def test_a_record_without_a_value_is_a_dead_letter() -> None:
    effects = Effects()
    stage().decide(0, [Rec(None)], Rows(MemoryStore()), effects)
    assert [send.topic for send in effects.sends] == [DEAD_LETTERS]


def test_time_is_the_latest_timestamp_seen_and_never_goes_back() -> None:
    rows = Rows(MemoryStore())
    opened(rows)
    stage().decide(
        0, [Rec(b"", timestamp=NOON_MS + 9_000), Rec(b"", timestamp=NOON_MS + 2_000)], rows, Effects()
    )
    assert seen_ms(rows, SKU_COMMANDS) == NOON_MS + 9_000
    stage().decide(0, [Rec(b"", timestamp=NOON_MS + 3_000)], rows, Effects())
    assert seen_ms(rows, SKU_COMMANDS) == NOON_MS + 9_000


def test_a_timestamp_outside_sense_moves_no_clock_of_a_command_topic() -> None:
    rows = Rows(MemoryStore())
    odd = [Rec(b"", timestamp=at) for at in OUTSIDE_SENSE.values()]
    stage().decide(0, [Rec(b""), *odd], rows, Effects())
    assert seen_ms(rows, SKU_COMMANDS) == NOON_MS


def test_the_stage_says_when_it_needs_a_tick() -> None:
    rows = Rows(MemoryStore())
    assert stage().earliest_deadline_ms(rows) is None
    opened(rows)
    assert stage().earliest_deadline_ms(rows) is not None


def test_no_event_that_was_sent_home_is_later_than_its_record_there() -> None:
    """A producer's clock may be ahead, and an end of the future would end nothing."""
    rows, effects = Rows(MemoryStore()), Effects()
    for ahead_ms, ref in ((-5_000, "O-1"), (3_600_000, "O-2")):
        envelope = Envelope(Source("order-placed", 0, 1), NOON_MS + ahead_ms, Terms())
        header = (ENVELOPE_HEADER, encode(envelope))
        record = Rec(ORDER.replace(b"O-1", ref.encode()), headers=[header])
        orders.stage(lambda topic: topic).decide(0, [record], rows, effects)
    claims = [decode_sku_command(send.value or b"") for send in effects.sends]
    assert [claim.placed_at_ms for claim in claims] == [NOON_MS - 5_000, NOON_MS]


def test_a_batch_that_ends_with_a_tick_counts_among_the_latencies_of_decisions() -> None:
    """Seen on a loaded machine: of seven orders two were left out, for a heartbeat came behind them."""
    rows, effects = Rows(MemoryStore()), Effects()
    opened(rows)
    claim, tick = Claim("P", "A", 1, "O-1", NOON_MS - 5, 0, 0), Tick()
    stage().decide(0, [Rec(encode(claim)), Rec(encode(tick))], rows, effects)
    [batch] = effects.batches
    assert (batch.records, batch.placed_at_ms) == (2, NOON_MS - 5)
