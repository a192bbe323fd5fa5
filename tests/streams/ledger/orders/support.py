"""A partition of the order log on the bench: events in, what the stage sent out, as a reader sees it."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from schemas.topics import DEAD_LETTERS, ORDER_COMMANDS, ORDER_OUTCOMES, SKU_COMMANDS
from streams.ledger.commands import (
    Cancel,
    Claim,
    Continue,
    Keep,
    LineCancelled,
    LineDecided,
    Lines,
    Recall,
    SkuCommand,
    Tick,
    decode_order_command,
    decode_sku_command,
)
from streams.ledger.effects import MAX_EFFECTS, Effects, Send
from streams.ledger.inputs import CancelOrder, PlaceOrder
from streams.ledger.orders import decide, next_watermark_deadline_ms
from streams.ledger.reservations.publishing import publish_decision, tell_recalled
from streams.ledger.reservations.state import ClaimRow
from streams.ledger.reservations.turn import ReservationTurn, take
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
        self.claims: dict[tuple[str, str], Claim] = {}
        """Orders that were handed to the ledger, by (ref, promotion)."""
        self.withheld: dict[tuple[str, str], int] = {}
        """Units that the last Claim of a line does not take, by (ref, SKU)."""
        self.forgets_nothing = False
        """Whether the ledger has a record of every line: then it answers no Claim of nothing at once."""
        self.records: dict[tuple[str, str], ClaimRow] = {}
        """What it decided about them."""
        self.answers_recalls = True
        """Whether the ledger answers a Recall at once, or a claim still waits for Fluent."""

    def feed(self, command: Any) -> list[Send]:
        """Decide one command from what is stored; returns what it sent. Its Continues wait in `continues`."""
        self.log.append((command, self.now_ms))
        self.effects = Effects()
        decide(self.rows, command, self.now_ms, self.effects)
        changes = self.rows.flush()
        self.store.write(changes)
        self.rows.reset()
        sends = self.effects.sends
        assert len(sends) + len(changes) <= MAX_EFFECTS
        for send in sends:
            if send.topic == ORDER_COMMANDS:
                assert send.own
                assert send.value is not None
                self.continues.append(decode_order_command(send.value))
        self.sent += sends
        return sends + self._ask_the_ledger(sends)

    def _ask_the_ledger(self, sends: list[Send]) -> list[Send]:
        """Note what was handed to the ledger; answer Recalls from its records, and Claims of nothing."""
        said: list[Send] = []
        for command in asked(sends):
            if isinstance(command, Claim) and command.source is not None:
                self.claims[command.order_ref, command.promotion_id] = command
            elif isinstance(command, Claim):
                self.withheld[command.order_ref, command.sku] = command.withheld
                if command.withheld == command.quantity and not self.forgets_nothing:
                    said += self.decided(command.sku, 0, ref=command.order_ref)
            elif isinstance(command, Recall) and self.answers_recalls:
                record = self.records.get((command.order_ref, command.promotion_id)) or ClaimRow(0, "")
                ledger = self.ledger(command.sku)
                tell_recalled(ledger, command.order_ref, record)
                said += self.feed(decode_order_command(ledger.effects.sends[0].value or b""))
        return said

    def settle(self) -> list[Send]:
        """Feed the Continues until none is left."""
        sends: list[Send] = []
        while self.continues:
            sends += self.feed(self.continues.pop(0))
        return sends

    def tick(self, after_ms: int = 0) -> list[Send]:
        """A Tick `after_ms` later, with all that it causes."""
        self.now_ms += after_ms
        return self.feed(Tick(self.now_ms)) + self.settle()

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
        """The ledger decides a Claim: it answers, or publishes the outcome of an order of one SKU itself.

        `quantity` is of the units that are not withheld.
        """
        claim = self.claims.pop((ref, self.promotion), None)
        if claim is None or claim.source is None:
            withheld = self.withheld.get((ref, sku), 0)
            return self.feed(LineDecided(self.promotion, ref, sku, quantity + withheld, reason, withheld))
        record = self.records[ref, self.promotion] = ClaimRow(quantity, reason, self.now_ms)
        ledger = self.ledger(sku)
        publish_decision(ledger, ref, record, claim.source, claim.quantity)
        self.sent += ledger.effects.sends
        return ledger.effects.sends

    def ledger(self, sku: str) -> ReservationTurn:
        """A turn of the ledger, for what it says."""
        return take(Rows(MemoryStore()), Effects(), self.now_ms, self.promotion, sku)

    def feed_line(self, sku: str, quantity: int, cancelled: int) -> list[Send]:
        """The ledger's answer about units that were taken, and partly given back, under this ref before."""
        return self.feed(LineDecided(self.promotion, "ORD-1", sku, quantity, "", cancelled, again=True))

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
        return next_watermark_deadline_ms(self.rows)


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
    assert keys == [c.sku.encode() for c in commands if isinstance(c, Claim | Cancel | Recall | Keep)]
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
