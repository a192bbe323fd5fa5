"""Which drift it is: what is seen in Fluent beside what should be held there. Pure.

Units are those held in Fluent less those that should be: negative where Fluent holds too little.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fluent.parts import Part
from fluent.reconcile_figures import Expectation
from fluent.verify import (
    DUPLICATE,
    FOREIGN_CHANGE,
    LATE_ACTIVATION,
    MISSING_HOLD,
    ORPHAN_HOLD,
    WRONG_QUANTITY,
)
from streams.ledger.drift import ACTIONS, OTHER


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
    """One difference: `kind` is one of `DRIFT_KINDS`, `refs` are the quantities that it is about."""

    kind: str
    units: int
    refs: tuple[str, ...] = ()

    @property
    def action(self) -> str:
        """What to do about it."""
        return ACTIONS.get(self.kind, OTHER)


def findings(expected: Expectation, seen: Seen) -> list[Finding]:
    """Every difference of one SKU; none is agreement."""
    found = _closed(expected, seen) if expected.closed else _open(expected, seen)
    if seen.others:
        kind = ORPHAN_HOLD if expected.closed else DUPLICATE
        found.append(Finding(kind, units_of(seen.others), _refs(seen.others)))
    if expected.sold is not None and seen.sold is not None and expected.sold != seen.sold:
        found.append(Finding(WRONG_QUANTITY, seen.sold - expected.sold, (f"{expected.ref}-sale",)))
    return found


def _closed(expected: Expectation, seen: Seen) -> list[Finding]:
    """Nothing may be live. What had ended before came back late; what never ended was left behind."""
    kind = LATE_ACTIVATION if expected.seen_ended else ORPHAN_HOLD
    taken = [part for part in seen.taken if part.live]
    groups = [(kind, [part for part in seen.live if part.units]), (FOREIGN_CHANGE, taken)]
    return [Finding(kind, units_of(parts), _refs(parts)) for kind, parts in groups if parts]


def _open(expected: Expectation, seen: Seen) -> list[Finding]:
    if expected.held is None:
        return []
    twice = surplus(expected, seen)
    found = [Finding(DUPLICATE, units_of(twice), _refs(twice))] if twice else []
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


def _kind_of_difference(seen: Seen) -> str:
    """Our own writes follow a part's plan and never end a part of an open hold: all else is somebody's."""
    if not seen.parts and not seen.taken:
        return MISSING_HOLD
    changed = len(seen.live) < len(seen.parts) or any(part.units > part.planned for part in seen.live)
    return FOREIGN_CHANGE if changed or seen.taken else WRONG_QUANTITY


def units_of(parts: Iterable[Part]) -> int:
    """What these parts hold together."""
    return sum(part.units for part in parts)


def _refs(parts: Iterable[Part]) -> tuple[str, ...]:
    return tuple(part.ref for part in parts)
