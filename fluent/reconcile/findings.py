"""Which drift it is, and the writes that put it right, from what is seen and what should be held. Pure.

Units are those held in Fluent less those that should be: negative where Fluent holds too little.

Writes are absolute, so that each can be repeated. What has ended stays ended: units that are missing are held
again by a new part under the next ref, and only where that many are free.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fluent.parts import (
    WINDOW,
    Attributes,
    Part,
    hold_attributes,
    left_by_part,
    part_ref,
    spread,
    total_free,
)
from fluent.reconcile.expected import Expectation
from schemas.drift import REMEDIES, DriftKind


@dataclass(frozen=True, slots=True)
class Seen:
    """One SKU in Fluent at one moment."""

    parts: Sequence[Part] = ()
    """Everything under the hold's refs that is ours, ended parts included."""
    taken: Sequence[Part] = ()
    """What is under the hold's refs but not marked as ours."""
    others: Sequence[Part] = ()
    """Live holds that carry the promotion's id under other refs."""
    free: Mapping[str, int] = field(default_factory=dict)
    """What is free at each ACTIVE position; below zero where more was promised than is there."""
    sold: int | None = None
    """Units that our SALE bookings have taken."""

    @property
    def live(self) -> list[Part]:
        """Our parts that count."""
        return [part for part in self.parts if part.live]

    @property
    def held(self) -> int:
        """Units held for the promotion, under whatever ref."""
        return units_of([*self.live, *self.others])


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference: `refs` are the quantities that it is about."""

    kind: DriftKind
    units: int
    refs: tuple[str, ...] = ()

    @property
    def action(self) -> str:
        """What to do about it."""
        return REMEDIES[self.kind]


def findings(expected: Expectation, seen: Seen) -> list[Finding]:
    """Every difference of one SKU; none is agreement."""
    found = _closed(expected, seen) if expected.closed else _open(expected, seen)
    if seen.others:
        kind = DriftKind.ORPHAN_HOLD if expected.closed else DriftKind.DUPLICATE
        found.append(Finding(kind, units_of(seen.others), _refs(seen.others)))
    if expected.sold is not None and seen.sold is not None and expected.sold != seen.sold:
        found.append(Finding(DriftKind.WRONG_QUANTITY, seen.sold - expected.sold, (f"{expected.ref}-sale",)))
    return found


def _closed(expected: Expectation, seen: Seen) -> list[Finding]:
    """Nothing may be live. What had ended before came back late; what never ended was left behind."""
    kind = DriftKind.LATE_ACTIVATION if expected.seen_ended else DriftKind.ORPHAN_HOLD
    taken = [part for part in seen.taken if part.live]
    groups = [(kind, [part for part in seen.live if part.units]), (DriftKind.FOREIGN_CHANGE, taken)]
    return [Finding(kind, units_of(parts), _refs(parts)) for kind, parts in groups if parts]


def _open(expected: Expectation, seen: Seen) -> list[Finding]:
    if expected.held is None:
        return []
    twice = surplus(expected, seen)
    found = [Finding(DriftKind.DUPLICATE, units_of(twice), _refs(twice))] if twice else []
    units = units_of(seen.live) - units_of(twice) - expected.held
    if units:
        parts = [*seen.parts, *seen.taken]
        found.append(Finding(_kind_of_difference(seen), units, _refs(parts) or (expected.ref,)))
    return found


def surplus(expected: Expectation, seen: Seen) -> list[Part]:
    """Live parts beyond those whose plans already add up to all that was reserved."""
    if expected.closed or expected.held is None or units_of(seen.live) <= expected.held:
        return []
    planned, beyond = 0, []
    for part in seen.live:
        if planned >= expected.reserved > 0 and part.units:
            beyond.append(part)
        planned += part.planned
    return beyond


def _kind_of_difference(seen: Seen) -> DriftKind:
    """Our own writes follow a part's plan and never end a part of an open hold: all else is somebody's."""
    if not seen.parts and not seen.taken:
        return DriftKind.MISSING_HOLD
    changed = len(seen.live) < len(seen.parts) or any(part.units > part.planned for part in seen.live)
    return DriftKind.FOREIGN_CHANGE if changed or seen.taken else DriftKind.WRONG_QUANTITY


def units_of(parts: Iterable[Part]) -> int:
    """What these parts hold together."""
    return sum(part.units for part in parts)


def _refs(parts: Iterable[Part]) -> tuple[str, ...]:
    return tuple(part.ref for part in parts)


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
