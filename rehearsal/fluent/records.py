"""What Fluent stores, and the errors with which it refuses.

Records are immutable: a change makes a new one, so that a stale read can show the one before. Errors are
reported on HTTP 200 with a code in ``errors[].extensions.code``. A code looks like ``C0121E``: C (client),
S (server) or T (third party), four digits, E (error) or W (warning).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MAX_REF_CHARACTERS = 100


class Status(StrEnum):
    """Those that the workflow knows; the API takes any text."""

    CREATED = "CREATED"
    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"


LIVE = (Status.CREATED, Status.ACTIVE)
"""Statuses in which a quantity counts."""


class Kind(StrEnum):
    """A quantity's ``type``; the API takes any text."""

    LAST_ON_HAND = "LAST_ON_HAND"
    SOFT_RESERVE = "SOFT_RESERVE"
    RESERVED = "RESERVED"
    SALE = "SALE"
    DELTA = "DELTA"
    CORRECTION = "CORRECTION"


BOOKED = (Kind.RESERVED, Kind.SALE)
"""What the order flow or another channel has taken; a SOFT_RESERVE is a hold."""

Attribute = dict[str, Any]
"""``{"name", "type", "value"}``, value any JSON."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    seq: int
    ref: str
    retailer_refs: tuple[str, ...]
    created_ms: int

    type = "DEFAULT"
    status = Status.ACTIVE


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


class Code(StrEnum):
    """Error codes that the simulator answers with by itself; a test may ask for any other."""

    COMPLEXITY = "C0001E"
    RATE_LIMIT = "C0011E"
    INTROSPECTION = "C0020E"
    NOT_FOUND = "C0120E"
    DUPLICATE_QUANTITY = "C0121E"
    INVALID = "C0122E"
    DUPLICATE_POSITION = "C0123E"
    INTERNAL = "S0001E"


class FluentError(Exception):
    """Refuses one field of a request; graphql-core copies ``extensions`` into the answer's error."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.extensions: dict[str, object] = {"code": code}


def not_found(what: str, ref: str) -> FluentError:
    return FluentError(Code.NOT_FOUND, f"{what} {ref!r} was not found")
