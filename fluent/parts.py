"""Parts: the quantities in Fluent that together are one reservation's hold, and their refs.

Part `<reservation_ref>-<n>`, n from 1, is at one position. SALE bookings of sold units are
`<reservation_ref>-sale`, `<reservation_ref>-sale-2`, … The first one at each position counts on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from schemas.times import LAST_MS, iso_utc
from streams.log import get_logger

log = get_logger("fluent")

WINDOW = 16
"""Refs are looked up, and created, in windows of this size: a window is begun only when every part of the one
before is known to exist, so a look-up may end at the first window that is not full."""

PROMOTION = "promotion_id"
EXPIRES_AT = "expires_at"
RESERVATION_TYPE = "reservation_type"
RESERVED_UNITS = "reserved_units"
"""What the plan gave this part: stays when the hold shrinks by what is sold."""
CONFIRMED = "hold_confirmed"
"""On the first part, once the whole hold was read back: a repeat of the request then gives up nothing."""
OURS = (PROMOTION, EXPIRES_AT, RESERVATION_TYPE, RESERVED_UNITS, CONFIRMED)

FLASH_SALE = "FLASH_SALE"

Attributes = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Part:
    """One quantity in Fluent. `units` is positive for what is taken off the stock."""

    ref: str
    position: str
    sku: str
    type: str
    units: int
    live: bool
    status: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def number(self) -> int:
        """Its n; a SALE booking without one has 1."""
        tail = self.ref.rpartition("-")[2]
        return int(tail) if tail.isdecimal() else 1

    @property
    def planned(self) -> int:
        """Units that the hold's plan gave it."""
        value = self.attributes.get(RESERVED_UNITS)
        try:
            return int(value) if value is not None else self.units
        except (OverflowError, TypeError, ValueError):
            return self.units

    @property
    def confirmed(self) -> bool:
        """Whether it carries the mark of a confirmed hold."""
        return str(self.attributes.get(CONFIRMED, "")).lower() == "true"

    @property
    def promotion(self) -> str:
        """The id of its promotion; empty where it does not say."""
        return str(self.attributes.get(PROMOTION) or "")

    @property
    def expires_at(self) -> str:
        """When its reservation expires, as `iso_time` writes it; empty where it does not say."""
        return str(self.attributes.get(EXPIRES_AT) or "")

    def expires_within(self, seconds: float, now_s: float) -> bool:
        """Whether its reservation expires soon or has expired a moment ago, either by `seconds` at most.

        `now_s` is Unix time.
        """
        try:
            moment = datetime.fromisoformat(self.expires_at)
            return abs((moment - datetime.fromtimestamp(now_s, UTC)).total_seconds()) <= seconds
        except (ValueError, TypeError):
            return False

    def is_of(self, promotion_id: str, sku: str, kind: str) -> bool:
        """Whether it belongs to this reservation, and not to somebody who uses the same ref."""
        return self.attributes.get(PROMOTION) == promotion_id and self.sku == sku and self.type in ("", kind)


def by_number(parts: Iterable[Part]) -> list[Part]:
    """In the order of their n, which is the order in which they are sold."""
    return sorted(parts, key=lambda part: part.number)


def part_ref(stem: str, number: int) -> str:
    """Ref of part n."""
    return f"{stem}-{number}"


def sale_ref(stem: str, number: int) -> str:
    """Ref of SALE booking n."""
    return f"{stem}-sale" if number == 1 else f"{stem}-sale-{number}"


def iso_time(at_ms: int) -> str:
    """Unix milliseconds as ISO 8601 in UTC. Raises ValueError where no four digits of a year write it."""
    if not 0 <= at_ms <= LAST_MS:
        raise ValueError(f"{at_ms} ms is no time that can be written")
    return iso_utc(at_ms)


def hold_attributes(
    promotion_id: str, expires_at_ms: int, planned: int, own: bytes, *, confirmed: bool = False
) -> Attributes:
    """Typed attributes of a part: ours, then the promotion's `own` (JSON, or empty)."""
    ours = [
        _typed(PROMOTION, promotion_id),
        _typed(EXPIRES_AT, iso_time(expires_at_ms)),
        _typed(RESERVATION_TYPE, FLASH_SALE),
        _typed(RESERVED_UNITS, planned),
    ]
    if confirmed:
        ours.append(_typed(CONFIRMED, True))
    return [*ours, *_own_attributes(own)]


def sale_attributes(promotion_id: str) -> Attributes:
    """Typed attributes of a SALE booking."""
    return [_typed(PROMOTION, promotion_id), _typed(RESERVATION_TYPE, FLASH_SALE)]


def _own_attributes(own: bytes) -> Iterator[dict[str, Any]]:
    """The promotion's own. Null, which Fluent does not take, and one of our names are left out."""
    content = msgspec.json.decode(own) if own else {}
    for name, value in (content if isinstance(content, dict) else {"attributes": content}).items():
        if value is None:
            continue
        if name in OURS:
            log.debug("promotion_attribute_hidden", attribute=name)
            continue
        yield _typed(name, value)


def _typed(name: str, value: Any) -> dict[str, Any]:
    return {"name": name, "type": _type_of(value), "value": value}


def _type_of(value: Any) -> str:
    """Fluent's name for a JSON value's type."""
    match value:
        case bool():
            return "BOOLEAN"
        case int():
            return "INTEGER"
        case float():
            return "FLOAT"
        case str():
            return "STRING"
        case _:
            return "JSON"


# --- which part has how many units: the same answer for the same figures ---


def spread(free: Mapping[str, int], units: int) -> list[tuple[str, int]] | None:
    """Units from each position, in order of the positions' refs; None where there are not enough.

    `free` are the sums at all positions of the SKU. One below zero is a debt: somebody was promised more
    than is there, so that many units elsewhere are not free either.
    """
    if units > total_free(free):
        return None
    parts: list[tuple[str, int]] = []
    for position in sorted(free):
        take = min(units, max(0, free[position]))
        if take:
            parts.append((position, take))
            units -= take
    return parts


def total_free(free: Mapping[str, int]) -> int:
    """Units of the SKU that may be taken."""
    return max(0, sum(free.values()))


def sold_by_part(planned: Sequence[int], units: int) -> list[int]:
    """How `units` sold spread over the parts: the first part is sold first."""
    sold = []
    for size in planned:
        take = min(size, units)
        sold.append(take)
        units -= take
    return sold


def left_by_part(planned: Sequence[int], remaining: int) -> list[int]:
    """What each part still holds when `remaining` units are held in all; a surplus goes to the first part."""
    total = sum(planned)
    left = [
        size - sold
        for size, sold in zip(planned, sold_by_part(planned, max(0, total - remaining)), strict=True)
    ]
    if left and remaining > total:
        left[0] += remaining - total
    return left


def shed(units: Sequence[int], excess: int) -> list[int]:
    """The sizes after taking `excess` away, from the last part on."""
    kept = list(units)
    for index in reversed(range(len(kept))):
        take = min(kept[index], excess)
        kept[index] -= take
        excess -= take
    return kept


def owed_by_part(parts: Sequence[Part], free: Mapping[str, int], elsewhere: Mapping[str, int]) -> list[int]:
    """Units of each part that somebody else has taken, from the last part on.

    `elsewhere` is what planning saw at the SKU's positions; a debt there counts, too.
    """
    owed = [0] * len(parts)
    short = {position: max(0, -units) for position, units in free.items()}
    for index in reversed(range(len(parts))):
        take = min(parts[index].planned, short.get(parts[index].position, 0))
        owed[index] = take
        short[parts[index].position] = short.get(parts[index].position, 0) - take
    in_all = max(0, -sum({**elsewhere, **free}.values())) - sum(owed)
    if elsewhere and in_all > 0:
        kept = shed([part.planned - units for part, units in zip(parts, owed, strict=True)], in_all)
        owed = [part.planned - units for part, units in zip(parts, kept, strict=True)]
    return owed
