"""What the world does to the system in one run: promotions, orders, cancels, and repeats of all of them."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import msgspec

from schemas.topics import (
    ORDER_CANCELLED,
    ORDER_COMMANDS,
    ORDER_PLACED,
    PROMOTION_COMMANDS,
    PROMOTION_END,
    PROMOTION_START,
)
from streams.ledger.commands import Lines
from streams.ledger.inputs import CancelOrder, EndPromotion, PlaceOrder, StartPromotion
from streams.ledger.terms import Source, Terms
from tests.simulation.barrier import Barrier
from tests.simulation.broker import Broker
from tests.simulation.evidence import Event, as_sent
from tests.simulation.worlds import Kind, log

LAST_MOMENT_MS = -1_500, 300
"""When the orders of the last moment are placed, counted from the expiry."""


@dataclass
class World:
    """Everything that was sent, by topic and offset, for the auditor."""

    broker: Broker
    rng: random.Random
    kind: Kind
    barrier: Barrier
    sent: dict[tuple[str, int], Event] = field(default_factory=dict)
    _offsets: dict[str, int] = field(default_factory=dict)

    def send(self, topic: str, event: Event) -> None:
        """An input event, as intake passes it on a moment later, or when the topic is read again."""
        offset = self._offsets.get(topic, 0)
        self._offsets[topic] = offset + 1
        event = msgspec.structs.replace(
            event,
            source=Source(topic, 0, offset),
            placed_at_ms=self.broker.clock.now_ms,
            original=as_sent(event),
        )
        self.sent[topic, offset] = event
        if isinstance(event, PlaceOrder | CancelOrder):
            target, key = ORDER_COMMANDS, event.order_ref.encode()
        else:
            target, key = PROMOTION_COMMANDS, event.promotion_id.encode()
        at_ms = self._read_at_ms(topic) + self.rng.randint(1, 400)
        number = len(self.sent)
        self.barrier.backlog[number] = event.placed_at_ms
        self.broker.clock.plan(at_ms, lambda: self._read(number, target, key, event))

    def _read_at_ms(self, topic: str) -> int:
        now_ms = self.broker.clock.now_ms
        from_ms, to_ms = self.kind.stalls.get(topic, (0, 0))
        return to_ms if from_ms <= now_ms < to_ms else now_ms

    def _read(self, number: int, target: str, key: bytes, event: Event) -> None:
        del self.barrier.backlog[number]
        self.broker.append(target, key, event)

    def plan(self, at_ms: int, topic: str, event: Event) -> None:
        """Send `event` at `at_ms`, and sometimes once more."""
        self.broker.clock.plan(at_ms, lambda: self.send(topic, event))
        if self.rng.random() < self.kind.habits.repeats:
            later_ms = log(self.rng, 1, max(60_000, self.kind.lasts_ms))
            self.broker.clock.plan(at_ms + later_ms, lambda: self.send(topic, event))

    @property
    def terms(self) -> Terms:
        """The settings in force."""
        return self.kind.terms


@dataclass
class Promotion:
    """A promotion of the sale: units by SKU."""

    id: str
    lines: dict[str, int]
    starts_at_ms: int
    duration_ms: int


def plan_sale(world: World, promotions: list[Promotion], orders: int) -> None:
    """Plan a whole sale."""
    for promotion in promotions:
        _plan_promotion(world, promotion)
    for number in range(orders):
        _plan_order(world, world.rng.choice(promotions), f"ORD-{number}")


def _plan_promotion(world: World, promotion: Promotion) -> None:
    rng = world.rng
    lines = tuple(promotion.lines.items())
    start = StartPromotion(
        Source("", 0, 0), world.terms, 0, promotion.id, lines, promotion.duration_ms, 0, b"", b""
    )
    world.plan(promotion.starts_at_ms, PROMOTION_START, start)
    if rng.random() < 3 * world.kind.habits.conflicts:
        other = msgspec.structs.replace(start, lines=((*lines[0][:1], 999), *lines[1:]))
        world.plan(promotion.starts_at_ms + rng.randint(500, 9_000), PROMOTION_START, other)
    end = EndPromotion(Source("", 0, 0), world.terms, 0, promotion.id, "", b"")
    if rng.random() < world.kind.habits.ends:
        latest_ms = rng.choice([5_000, promotion.duration_ms])
        world.plan(promotion.starts_at_ms + rng.randint(-500, latest_ms), PROMOTION_END, end)
    if not world.terms.auto_release:
        world.plan(promotion.starts_at_ms + 2 * promotion.duration_ms, PROMOTION_END, end)


def _plan_order(world: World, promotion: Promotion, ref: str) -> None:
    rng = world.rng
    skus = rng.sample(sorted(promotion.lines), rng.randint(1, min(3, len(promotion.lines))))
    if rng.random() < world.kind.habits.strangers:
        skus.append("SKU-NOT-IN-THIS-PROMOTION")
    lines = tuple((sku, rng.randint(1, 4)) for sku in skus)
    at_ms = promotion.starts_at_ms + rng.randint(-2_000, promotion.duration_ms + 10_000)
    if rng.random() < 0.2:
        at_ms = promotion.starts_at_ms + promotion.duration_ms + rng.randint(*LAST_MOMENT_MS)
    order = PlaceOrder(Source("", 0, 0), world.terms, 0, ref, promotion.id, lines, b"")
    world.plan(at_ms, ORDER_PLACED, order)
    if rng.random() < world.kind.habits.conflicts:
        other = msgspec.structs.replace(order, lines=((lines[0][0], lines[0][1] + 1), *lines[1:]))
        world.plan(at_ms + rng.randint(-500, 20_000), ORDER_PLACED, other)
    for number in range(2):
        if rng.random() < world.kind.habits.cancels / 2:
            _plan_cancel(world, order, at_ms, number)


def _plan_cancel(world: World, order: PlaceOrder, at_ms: int, number: int) -> None:
    rng = world.rng
    ref = f"RMA-{number}" if rng.random() < 0.7 else ""
    sku, quantity = rng.choice(order.lines)
    lines: Lines = () if rng.random() < 0.4 else ((sku, rng.randint(1, quantity)),)
    cancel = CancelOrder(
        Source("", 0, 0), world.terms, 0, order.order_ref, order.promotion_id, ref, lines, b""
    )
    late_ms = rng.choice([100, 3_000, 40_000, 200_000, log(rng, 1, max(60_000, world.kind.lasts_ms))])
    early_ms = rng.choice([200, 8_000, log(rng, 1, 60_000)])
    delay_ms = -early_ms if rng.random() < world.kind.habits.early_cancels else late_ms
    world.plan(at_ms + delay_ms, ORDER_CANCELLED, cancel)
