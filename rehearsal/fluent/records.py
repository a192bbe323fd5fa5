"""What the simulator stores. Records are immutable: a change makes a new one, so that a stale read can show
the one before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

CREATED = "CREATED"
ACTIVE = "ACTIVE"
INACTIVE = "INACTIVE"
LIVE = (CREATED, ACTIVE)

LAST_ON_HAND = "LAST_ON_HAND"
SOFT_RESERVE = "SOFT_RESERVE"
RESERVED = "RESERVED"
SALE = "SALE"
DELTA = "DELTA"
CORRECTION = "CORRECTION"

MAX_REF_CHARACTERS = 100

Attribute = dict[str, Any]
"""``{"name", "type", "value"}``, value any JSON."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    seq: int
    ref: str
    retailer_refs: tuple[str, ...]
    created_ms: int

    type = "DEFAULT"
    status = ACTIVE


@dataclass(frozen=True, slots=True)
class Position:
    """Stock of one product at one location. ``on_hand`` is Fluent's own figure, right only at times."""

    seq: int
    ref: str
    catalogue: str
    product_ref: str
    location_ref: str
    type: str
    status: str
    on_hand: int
    attributes: tuple[Attribute, ...]
    created_ms: int
    updated_ms: int


@dataclass(frozen=True, slots=True)
class Quantity:
    """A figure that counts towards a position; units taken are negative."""

    seq: int
    ref: str
    catalogue: str
    position: str
    type: str
    status: str
    quantity: int
    attributes: tuple[Attribute, ...]
    condition: str | None
    expected_on: str | None
    storage_area_ref: str | None
    created_ms: int
    updated_ms: int

    @property
    def live(self) -> bool:
        return self.status in LIVE


def position_ref(sku: str, location: str) -> str:
    """Fluent's default: ``<productRef>:<locationRef>:DEFAULT``."""
    return f"{sku}:{location}:DEFAULT"


def attribute(record: Position | Quantity, name: str) -> Any:
    """The value of a typed attribute, None when the record has none of that name."""
    return next((found["value"] for found in record.attributes if found["name"] == name), None)
