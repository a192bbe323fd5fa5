"""The writes that make Fluent hold what it should: absolute, so that each can be repeated.

What takes stock off sale is written before what puts it back. What has ended stays ended: units that are
missing are held again by a new part under the next ref, and only where that many are free.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fluent.client import FluentClient
from fluent.parts import WINDOW, Attributes, Part, hold_attributes, part_ref
from fluent.plan import left_by_part, spread, total_free
from fluent.profile import Profile
from fluent.reconcile_figures import Expectation
from fluent.reconcile_kinds import Seen, surplus
from fluent.sales import book_sales
from fluent.stock import Stock, all_over


@dataclass(frozen=True, slots=True)
class Mutation:
    """One write as it goes to Fluent: the operation of the profile's document, and its variables."""

    sku: str
    operation: str
    variables: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Create:
    """A new part of the hold."""

    part: Part
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Resize:
    """What a part holds; its status stays what it is."""

    part: Part
    units: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Writes of one SKU, and what stands in the way of the rest, one sentence each."""

    sold: int | None = None
    """What SALE bookings have to take; None: they are right, or others book."""
    creates: Sequence[Create] = ()
    resizes: Sequence[Resize] = ()
    ends: Sequence[Part] = ()
    obstacles: Sequence[str] = ()


def plan_repair(expected: Expectation, seen: Seen) -> Plan:
    """What it takes to make `seen` what is `expected`."""
    sold = None if seen.sold in (None, expected.sold) else expected.sold
    if expected.closed:
        theirs = [
            f"{part.ref} is live but not marked as {expected.promotion_id}'s: end it by hand"
            for part in seen.taken
            if part.live
        ]
        ends = [*(part for part in seen.live if part.units), *seen.others]
        return Plan(sold, ends=ends, obstacles=theirs)
    if expected.held is None:
        return Plan(sold, ends=seen.others)
    return _plan_open(expected, seen, sold)


def _plan_open(expected: Expectation, seen: Seen, sold: int | None) -> Plan:
    twice = surplus(expected, seen)
    kept = [part for part in seen.live if part not in twice]
    held = expected.held or 0
    planned = [part.planned for part in kept]
    sizes = left_by_part(planned, min(held, sum(planned)))
    shrinks = [Resize(part, size) for part, size in zip(kept, sizes, strict=True) if size < part.units]
    ends = [*twice, *seen.others]
    missing = held - sum(min(part.units, size) for part, size in zip(kept, sizes, strict=True))
    if not missing:
        return Plan(sold, resizes=shrinks, ends=ends)
    if obstacle := _cannot_hold_again(expected, seen, missing):
        return Plan(sold, resizes=shrinks, ends=ends, obstacles=[obstacle])
    grows, free, missing = _grow(kept, sizes, seen.free, missing)
    creates, late = _create(expected, seen, spread(free, missing) or [])
    return Plan(sold, creates, [*grows, *shrinks], ends, late)


def _cannot_hold_again(expected: Expectation, seen: Seen, missing: int) -> str:
    if seen.taken:
        refs = ", ".join(part.ref for part in seen.taken)
        return f"{refs} lost the mark that it is {expected.promotion_id}'s: put promotion_id back by hand"
    if expected.hold is None:
        return "the hold request is no longer in fluent-requests, so its expiry and attributes are not known"
    free = total_free(seen.free)
    if missing > free:
        return f"{missing} units are to be held again, {free} are free: end the promotion, or restock"
    return ""


def _grow(
    kept: Sequence[Part], sizes: Sequence[int], free: Mapping[str, int], missing: int
) -> tuple[list[Resize], dict[str, int], int]:
    """Parts back to their plan as far as their position allows; what is free and missing after that."""
    left = dict(free)
    grows = []
    for part, size in zip(kept, sizes, strict=True):
        take = min(size - part.units, max(0, left.get(part.position, 0)), missing)
        if take > 0:
            grows.append(Resize(part, part.units + take))
            left[part.position] -= take
            missing -= take
    return grows, left, missing


def _create(
    expected: Expectation, seen: Seen, shares: Sequence[tuple[str, int]]
) -> tuple[list[Create], list[str]]:
    """New parts under the next refs, no further than this window of refs reaches."""
    hold = expected.hold
    if hold is None:
        return [], []
    last = max((part.number for part in seen.parts), default=0)
    room = WINDOW - last % WINDOW
    creates: list[Create] = []
    for number, (position, units) in enumerate(shares[:room], start=last + 1):
        own = hold_attributes(
            expected.promotion_id, hold.expires_at_ms, units, hold.attributes, confirmed=not creates
        )
        part = Part(part_ref(expected.ref, number), position, expected.sku, "", units, live=True)
        creates.append(Create(part, own))
    late = [f"{len(shares) - room} more parts are needed: repair again"] if len(shares) > room else []
    return creates, late


class Recorded(Exception):
    """Instead of a write that is not to be sent."""


@dataclass(slots=True)
class Record:
    """Mutations in the order in which they are sent; with `dry` none is."""

    dry: bool
    mutations: list[Mutation] = field(default_factory=list)


class RecordingStock(Stock):
    """A Stock that notes each write. In a dry run it raises `Recorded` instead of sending it."""

    def __init__(
        self, client: FluentClient, profile: Profile, promotion_id: str, sku: str, stem: str, record: Record
    ) -> None:
        super().__init__(client, profile, promotion_id, sku, stem, float("inf"))
        self._record = record

    async def _write(self, name: str, **values: Any) -> Mapping[str, Any]:
        mapped = self.profile.operations[name]
        variables = mapped.bind(self._fixed | values)
        self._record.mutations.append(Mutation(self.sku, mapped.operation.name, variables))
        if self._record.dry:
            raise Recorded
        return await super()._write(name, **values)


async def carry_out(plan: Plan, seen: Seen, stock: RecordingStock, pause_s: float) -> None:
    """Sends (or only notes) the writes. Raises what they raise; the later steps are then left out."""
    grows = [write for write in plan.resizes if write.units > write.part.units]
    shrinks = [write for write in plan.resizes if write.units <= write.part.units]
    if plan.sold is not None:
        await _noted([book_sales(stock, list(seen.parts), plan.sold, pause_s)])
    await _noted([stock.create(write.part, write.attributes) for write in plan.creates])
    await _noted([stock.resize(write.part, write.units) for write in grows])
    await _noted([stock.resize(write.part, write.units) for write in shrinks])
    await _noted([stock.end(part) for part in plan.ends])


async def _noted(writes: Sequence[Awaitable[None]]) -> None:
    try:
        await all_over(writes)
    except Recorded:
        return
