"""Audits time: whoever ordered in time is decided as in time, nobody who came too late gets anything.

It reads when things were placed and in which order they were decided, and knows nothing of watermarks.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from schemas.topics import ORDER_COMMANDS, ORDER_OUTCOMES, PROMOTION_COMMANDS, SKU_COMMANDS
from streams.ledger.commands import End, decode_sku_command
from streams.ledger.inputs import CancelOrder, EndPromotion, PlaceOrder, StartPromotion
from streams.ledger.terms import Terms
from tests.simulation.broker import Broker, Record

TOO_LATE = ("EXPIRED", "ENDED")


@dataclass
class Span:
    """A promotion's time: from its start to its expiry, or to an end."""

    started_ms: int
    expires_ms: int
    ended_ms: int | None = None
    end_reached_ledger_ms: int | None = None

    @property
    def deadline_ms(self) -> int:
        """What is placed later is too late."""
        return self.expires_ms if self.ended_ms is None else min(self.expires_ms, self.ended_ms)

    @property
    def cause(self) -> str:
        """Which of the two came first."""
        return "ENDED" if self.ended_ms == self.deadline_ms else "EXPIRED"

    @property
    def last_chance_ms(self) -> int:
        """Up to then an order may have been decided before anybody knew of the end."""
        if self.ended_ms is None or self.end_reached_ledger_ms is None:
            return self.deadline_ms
        return min(self.expires_ms, max(self.ended_ms, self.end_reached_ledger_ms))


class Deadlines:
    """The events as they were decided first, against what was answered."""

    def __init__(self, broker: Broker, terms: Terms, forgettable: Collection[tuple[str, ...]]) -> None:
        self.broker = broker
        self.terms = terms
        self.forgettable = forgettable
        """Orders of which it is not known which event was decided."""
        self.spans: dict[str, Span] = {}
        self.orders: dict[tuple[str, str], PlaceOrder] = {}
        self.in_time = 0
        self.too_late = 0
        self._read_promotions()
        for record in broker.read(ORDER_COMMANDS):
            if isinstance(record.value, PlaceOrder):
                self.orders.setdefault((record.value.order_ref, record.value.promotion_id), record.value)

    def _read_promotions(self) -> None:
        ends: dict[str, int] = {}
        for record in self.broker.read(PROMOTION_COMMANDS):
            event = record.value
            if isinstance(event, StartPromotion) and event.promotion_id not in self.spans:
                span = Span(event.placed_at_ms, event.placed_at_ms + event.duration_ms)
                self.spans[event.promotion_id] = span
            elif isinstance(event, EndPromotion):
                known_ms = ends.get(event.promotion_id, event.placed_at_ms)
                ends[event.promotion_id] = min(known_ms, event.placed_at_ms)
        for promotion_id, span in self.spans.items():
            span.ended_ms = ends.get(promotion_id)
        for record in self.broker.read(SKU_COMMANDS):
            command = decode_sku_command(record.value)
            if isinstance(command, End):
                span = self.spans[command.promotion_id]
                span.end_reached_ledger_ms = max(record.at_ms, span.end_reached_ledger_ms or 0)

    def check(self, reserved: dict[tuple[str, str], int], sent: dict[tuple[str, int], Any]) -> None:
        """`reserved` units by promotion and SKU; the events that were `sent`, by topic and offset."""
        repeated: set[bytes] = set()
        for record in self.broker.read(ORDER_OUTCOMES):
            if record.value in repeated:
                continue
            repeated.add(record.value)
            outcome = json.loads(record.value)
            if (outcome["orderRef"], outcome["promotionId"]) in self.forgettable:
                continue
            if outcome.get("reason") == "NO_ORDER":
                self._was_unknown(sent[_source(record)])
            order = self.orders.get((outcome["orderRef"], outcome["promotionId"]))
            for line in _decided(outcome):
                assert order is not None
                self._line(line, order, reserved.get((order.promotion_id, line["sku"]), 0))

    def _line(self, line: dict[str, Any], order: PlaceOrder, reserved: int) -> None:
        span = self.spans[order.promotion_id]
        what = f"{order.order_ref}, placed at {order.placed_at_ms}, with {span}"
        in_time = order.placed_at_ms <= span.deadline_ms
        reason = line.get("reason", "")
        self.in_time += in_time
        self.too_late += reason in TOO_LATE
        if reason in TOO_LATE:
            assert not in_time, f"in time and told {reason}: {what}"
            known_later = span.end_reached_ledger_ms is not None
            assert reason == span.cause or known_later, f"{reason}, but the other was first: {what}"
        if not reason:
            assert order.placed_at_ms <= span.last_chance_ms, f"too late, and taken: {what}"
        if reason == "NO_RESERVATION" and reserved:
            started_late = span.started_ms > order.placed_at_ms + self.terms.claim_grace_ms
            assert started_late, f"the start was waiting in a backlog: {what}"

    def _was_unknown(self, cancel: CancelOrder) -> None:
        order = self.orders.get((cancel.order_ref, cancel.promotion_id))
        if order is not None:
            late = order.placed_at_ms > cancel.placed_at_ms + self.terms.claim_grace_ms
            assert late, f"{cancel.order_ref} was waiting in a backlog"


def _source(record: Record) -> tuple[str, int]:
    headers = dict(record.headers or [])
    return headers["source-topic"].decode(), int(headers["source-offset"])


def _decided(outcome: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The lines of an order's first outcome, without what earlier cancels took out."""
    if "cancelResults" not in outcome:
        yield from (line for line in outcome["consumeResults"] if line.get("reason") != "CANCELLED")
