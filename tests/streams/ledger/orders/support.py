"""A partition of the order log on the bench: events in, what the stage sent out, as a reader sees it."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from schemas.topics import DEAD_LETTERS, ORDER_COMMANDS, ORDER_OUTCOMES, SKU_COMMANDS
from streams.ledger.commands import (
    Cancel,
    CancelOrder,
    Claim,
    Continue,
    LineCancelled,
    LineDecided,
    Lines,
    PlaceOrder,
    SkuCommand,
    Tick,
    decode_order_command,
    decode_sku_command,
)
from streams.ledger.effects import MAX_EFFECTS, Effects, Send
from streams.ledger.orders import decide, earliest_deadline_ms
from streams.ledger.rows import MemoryStore, Rows
from streams.ledger.terms import Source, Terms

PROMOTION = "FLASH-1"
START_MS = 1_700_000_000_000
HOUR_MS = 3_600_000
TERMS = Terms(claim_grace_ms=5_000, retention_ms=HOUR_MS)
WHOLE = Terms(claim_grace_ms=5_000, retention_ms=HOUR_MS, all_or_nothing=True)

Json = dict[str, Any]


class Bench:
    """Feeds commands to the core one by one, and commits each like a batch of one."""

    def __init__(self, terms: Terms = TERMS) -> None:
        self.terms = terms
        self.promotion = PROMOTION
        self.log: list[tuple[Any, int]] = []
        self.store = MemoryStore()
        self.rows = Rows(self.store)
        self.now_ms = START_MS
        self.offset = 0
        self.sent: list[Send] = []
        self.continues: list[Continue] = []
        self.effects = Effects()

    def feed(self, command: Any) -> list[Send]:
        """Decide one command; returns what it sent. Its own Continues wait in `continues`."""
        self.log.append((command, self.now_ms))
        self.effects = Effects()
        decide(self.rows, command, self.now_ms, self.effects)
        changes = self.rows.flush()
        self.store.write(changes)
        self.rows.committed()
        sends = self.effects.sends
        assert len(sends) + len(changes) <= MAX_EFFECTS
        for send in sends:
            if send.topic == ORDER_COMMANDS:
                assert send.own
                assert send.value is not None
                self.continues.append(decode_order_command(send.value))
        self.sent += sends
        return sends

    def settle(self) -> list[Send]:
        """Feed the Continues until none is left."""
        sends: list[Send] = []
        while self.continues:
            sends += self.feed(self.continues.pop(0))
        return sends

    def tick(self, after_ms: int = 0) -> list[Send]:
        """A Tick `after_ms` later, with all that it causes."""
        self.now_ms += after_ms
        return self.feed(Tick()) + self.settle()

    def source(self, topic: str) -> Source:
        """The next record of an input topic."""
        self.offset += 1
        return Source(topic, 0, self.offset, b"key-%d" % self.offset)

    def place(self, lines: Lines, ref: str = "ORD-1") -> list[Send]:
        """An order event."""
        source = self.source("order-placed")
        original = b"order %d" % self.offset
        return self.feed(PlaceOrder(source, self.terms, self.now_ms, ref, self.promotion, lines, original))

    def cancel(self, lines: Lines = (), cancellation_ref: str = "", ref: str = "ORD-1") -> list[Send]:
        """A cancel event; without lines of the whole order."""
        source = self.source("order-cancelled")
        original = b"cancel %d" % self.offset
        command = CancelOrder(
            source, self.terms, self.now_ms, ref, self.promotion, cancellation_ref, lines, original
        )
        return self.feed(command)

    def decided(self, sku: str, quantity: int, reason: str = "", ref: str = "ORD-1") -> list[Send]:
        """The ledger's answer to a Claim."""
        return self.feed(LineDecided(self.promotion, ref, sku, quantity, reason))

    def given_back(self, sku: str, quantity: int, operation: int = 1, ref: str = "ORD-1") -> list[Send]:
        """The ledger's answer to a Cancel."""
        return self.feed(LineCancelled(self.promotion, ref, sku, operation, quantity))

    def accepted(self, lines: Lines, ref: str = "ORD-1") -> Json:
        """An order of which everything was taken."""
        self.place(lines, ref)
        for sku, quantity in lines:
            sends = self.decided(sku, quantity, ref=ref)
        return only_outcome(sends)

    def deadline_ms(self) -> int | None:
        """When the partition next needs a Tick."""
        return earliest_deadline_ms(self.rows)


def outcomes(sends: list[Send]) -> list[Json]:
    """The outcome records among what was sent."""
    return [json.loads(send.value or b"") for send in sends if send.topic == ORDER_OUTCOMES]


def only_outcome(sends: list[Send]) -> Json:
    """The one outcome record among what was sent."""
    (outcome,) = outcomes(sends)
    return outcome


def dead_letters(sends: list[Send]) -> list[Send]:
    """The dead letters among what was sent."""
    return [send for send in sends if send.topic == DEAD_LETTERS]


def asked(sends: list[Send]) -> list[SkuCommand]:
    """What was asked of the ledger; each command is keyed by its SKU."""
    commands = [decode_sku_command(send.value or b"") for send in sends if send.topic == SKU_COMMANDS]
    keys = [send.key for send in sends if send.topic == SKU_COMMANDS]
    assert keys == [command.sku.encode() for command in commands if isinstance(command, Claim | Cancel)]
    return commands


def offset_of(send: Send) -> int:
    """The offset of the input record that a record answers."""
    return int(dict(send.headers or [])["source-offset"])


def plain(command: msgspec.Struct) -> tuple[Any, ...]:
    """A command's fields, for comparison."""
    return msgspec.structs.astuple(command)


def taken(sku: str, quantity: int) -> Json:
    """A line that was consumed."""
    return {"sku": sku, "quantity": quantity, "consumed": True}


def refusals(outcome: Json) -> list[tuple[str, int, str]]:
    """(sku, quantity, reason) of the lines that were not consumed; each must say what to do."""
    refused = [line for line in outcome["consumeResults"] if not line["consumed"]]
    assert all(line["recommendation"] for line in refused)
    return [(line["sku"], line["quantity"], line["reason"]) for line in refused]


def cancels(outcome: Json) -> list[tuple[str, int, str]]:
    """(sku, quantity, reason) of the lines of a cancel; the reason is "" where it was cancelled."""
    lines = outcome["cancelResults"]
    assert all(line["cancelled"] is ("reason" not in line) for line in lines)
    return [(line["sku"], line["quantity"], line.get("reason", "")) for line in lines]
