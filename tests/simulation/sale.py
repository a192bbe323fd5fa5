"""What the world asks of the system in one run: promotions, orders, cancels, and repeats of all of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from random import Random

import msgspec

from schemas.topics import ORDER_CANCELLED, ORDER_PLACED, PROMOTION_END, PROMOTION_START
from streams.ledger.commands import Lines
from streams.ledger.inputs import CancelOrder, EndPromotion, PlaceOrder, StartPromotion
from streams.ledger.terms import Source
from tests.simulation.world import World
from tests.simulation.worlds import HOUR_MS, MINUTE_MS, SECOND_MS, chance, log

LAST_MOMENT_MS = -1_500, 300
"""When the orders of the last moment are placed, counted from the expiry."""


@dataclass
class Promotion:
    """A promotion of the sale: units by SKU."""

    id: str
    lines: dict[str, int]
    starts_at_ms: int
    duration_ms: int
    ends_at_ms: int | None = None
    """When somebody ends it, which may be before it starts."""

    @property
    def expires_at_ms(self) -> int:
        """When it is over, unless somebody ends it before."""
        return self.starts_at_ms + self.duration_ms


def plan_sale(world: World, promotions: list[Promotion], orders: Collection[int], seed: int) -> None:
    """Plan a whole sale, with the orders of these numbers.

    Each order has a chance of its own, so that it is the same whichever others there are.
    """
    for promotion in promotions:
        rng = chance(seed, promotion.id)
        if rng.random() < world.kind.habits.ends:
            promotion.ends_at_ms = _end_ms(world, promotion, rng)
        _plan_promotion(world, promotion, rng)
    for number in orders:
        rng = chance(seed, f"order {number}")
        _plan_order(world, rng.choice(promotions), f"ORD-{number}", rng)


def _plan_promotion(world: World, promotion: Promotion, rng: Random) -> None:
    lines = tuple(promotion.lines.items())
    start = StartPromotion(
        Source("", 0, 0), world.kind.terms, 0, promotion.id, lines, promotion.duration_ms, 0, b"", b""
    )
    world.plan(promotion.starts_at_ms, PROMOTION_START, start, rng)
    if rng.random() < 3 * world.kind.habits.conflicts:
        other = msgspec.structs.replace(start, lines=((*lines[0][:1], 999), *lines[1:]))
        world.plan(promotion.starts_at_ms + rng.randint(500, 9_000), PROMOTION_START, other, rng)
    end = EndPromotion(Source("", 0, 0), world.kind.terms, 0, promotion.id, "", b"")
    if promotion.ends_at_ms is not None:
        world.plan(promotion.ends_at_ms, PROMOTION_END, end, rng)
    if not world.kind.terms.auto_release:
        world.plan(promotion.starts_at_ms + 2 * promotion.duration_ms, PROMOTION_END, end, rng)


def _end_ms(world: World, promotion: Promotion, rng: Random) -> int:
    """At any time; soon after the start or before it; while orders wait that nobody has read."""
    choices = [
        rng.randint(-500, 5_000),
        rng.randint(-500, 5_000),
        rng.randint(0, promotion.duration_ms),
        -log(rng, 1, MINUTE_MS),
    ]
    if ORDER_PLACED in world.kind.stalls:
        stalled_ms = rng.randint(*world.kind.stalls[ORDER_PLACED]) - promotion.starts_at_ms
        choices.append(min(stalled_ms, promotion.duration_ms))
    return promotion.starts_at_ms + rng.choice(choices)


def _plan_order(world: World, promotion: Promotion, ref: str, rng: Random) -> None:
    skus = rng.sample(sorted(promotion.lines), rng.randint(1, min(3, len(promotion.lines))))
    if rng.random() < world.kind.habits.strangers:
        skus.append("SKU-NOT-IN-THIS-PROMOTION")
    lines = tuple((sku, rng.randint(1, 4)) for sku in skus)
    at_ms = _placed_at_ms(world, promotion, rng)
    order = PlaceOrder(Source("", 0, 0), world.kind.terms, 0, ref, promotion.id, lines, b"")
    world.plan(at_ms, ORDER_PLACED, order, rng)
    if rng.random() < world.kind.habits.conflicts:
        other = msgspec.structs.replace(order, lines=((lines[0][0], lines[0][1] + 1), *lines[1:]))
        world.plan(at_ms + rng.randint(-500, 20_000), ORDER_PLACED, other, rng)
    for number in range(2):
        if rng.random() < world.kind.habits.cancels / 2:
            _plan_cancel(world, order, at_ms + _delay_ms(world, rng), number, rng)
    if rng.random() < world.kind.habits.early_cancels / 8:
        _plan_two_early_cancels(world, order, at_ms, rng)
    if rng.random() < world.kind.habits.revivals:
        plan = rng.choice([_plan_revivals, _plan_cancel_after_repeat])
        plan(world, order, at_ms, rng)


def _placed_at_ms(world: World, promotion: Promotion, rng: Random) -> int:
    """Mostly at any time; else with the start, before it, or in the last moment."""
    starts_at_ms = promotion.starts_at_ms
    when = rng.random()
    if when < 0.2:
        ends_at_ms = promotion.ends_at_ms or promotion.expires_at_ms
        return rng.choice([promotion.expires_at_ms, ends_at_ms]) + rng.randint(*LAST_MOMENT_MS)
    if when < 0.25:
        return starts_at_ms - rng.randint(0, 2_000 + 2 * world.kind.terms.claim_grace_ms)
    if rng.random() < world.kind.rush:
        return starts_at_ms + rng.randint(-500, 2_000)
    return starts_at_ms + rng.randint(-2_000, promotion.duration_ms + 10_000)


def _plan_two_early_cancels(world: World, order: PlaceOrder, at_ms: int, rng: Random) -> None:
    """The grace of the first is over when the order is placed, that of the second is not."""
    grace_ms = world.kind.terms.claim_grace_ms
    _plan_cancel(world, order, at_ms - grace_ms - rng.randint(1_500, 4_000), 6, rng)
    _plan_cancel(world, order, at_ms - rng.randint(grace_ms // 2, grace_ms), 7, rng)


def _plan_cancel_after_repeat(world: World, order: PlaceOrder, at_ms: int, rng: Random) -> None:
    """An order that was cancelled in part is forgotten, comes again, and is cancelled once more."""
    kept_ms = world.kind.terms.orders_kept_ms
    _plan_cancel(world, order, at_ms + rng.randint(1_000, MINUTE_MS), 8, rng)
    at_ms += kept_ms + log(rng, 2 * MINUTE_MS, HOUR_MS)
    world.plan(at_ms, ORDER_PLACED, order, rng)
    _plan_cancel(world, order, at_ms + log(rng, SECOND_MS, kept_ms // 2), 9, rng)


def _plan_revivals(world: World, order: PlaceOrder, at_ms: int, rng: Random) -> None:
    """Repeats and cancels of an order, each when it is forgotten, or would be had nobody asked before."""
    kept_ms = world.kind.terms.orders_kept_ms
    for number in range(2, 2 + rng.randint(1, 4)):
        at_ms += rng.choice([rng.randint(kept_ms * 9 // 10, kept_ms), kept_ms + log(rng, MINUTE_MS, HOUR_MS)])
        if rng.random() < 0.5:
            world.plan(at_ms, ORDER_PLACED, order, rng)
        else:
            _plan_cancel(world, order, at_ms, number, rng)


def _delay_ms(world: World, rng: Random) -> int:
    """How long after its order a cancel comes; negative where it comes first."""
    grace_ms = world.kind.terms.claim_grace_ms
    if rng.random() < world.kind.habits.early_cancels:
        return -rng.choice([200, 8_000, log(rng, 1, MINUTE_MS), rng.randint(1, 1 + 2 * grace_ms)])
    return rng.choice([100, 3_000, 40_000, 200_000, log(rng, 1, max(MINUTE_MS, world.kind.lasts_ms))])


def _plan_cancel(world: World, order: PlaceOrder, at_ms: int, number: int, rng: Random) -> None:
    ref = f"RMA-{number}" if rng.random() < 0.7 else ""
    sku, quantity = rng.choice(order.lines)
    lines: Lines = () if rng.random() < 0.4 else ((sku, rng.randint(1, quantity)),)
    cancel = CancelOrder(
        Source("", 0, 0), world.kind.terms, 0, order.order_ref, order.promotion_id, ref, lines, b""
    )
    world.plan(at_ms, ORDER_CANCELLED, cancel, rng)
