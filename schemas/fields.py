"""The types that all messages share: references, quantities, times, free JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, StringConstraints
from pydantic.alias_generators import to_camel

from schemas.times import milliseconds

MAX_REF_BYTES = 256
MAX_QUANTITY = 1_000_000_000
MAX_SKUS = 10_000
MAX_LINES = 500
MIN_DURATION_MINUTES = 1
MAX_DURATION_MINUTES = 10_080
MAX_ATTRIBUTES_BYTES = 4_096
MAX_ATTRIBUTES_DEPTH = 16

NO_CONTROL_CHARACTERS = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$"
"""Unicode category Cc (C0, DEL, C1) is exactly this; written out so that every regex dialect reads it."""

OFFSET_TIME = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$"
UTC_MILLISECONDS = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$"

FIRST_EVENT_MS, LAST_EVENT_MS = 946_684_800_000, 4_133_980_799_999
"""2000-01-01 to the end of 2100: the timestamps that an event's record may have. What lies outside is in
another unit (microseconds, nanoseconds) or was never set."""


class Message(BaseModel):
    """Base of everything read from outside: exact types, camelCase on the wire, unknown fields ignored."""

    # Built from JSON, hardly ever by keyword, so the generated aliases hide nothing from a type checker.
    model_config = ConfigDict(  # type: ignore[pydantic-alias]
        strict=True, frozen=True, extra="ignore", alias_generator=to_camel
    )


def _within_bytes(text: str) -> str:
    if not text.isascii() and len(text.encode()) > MAX_REF_BYTES:
        raise ValueError(f"must be at most {MAX_REF_BYTES} bytes of UTF-8")
    return text


def _in_the_calendar(text: str) -> str:
    milliseconds(text)
    return text


def _small_json(value: JsonValue) -> JsonValue:
    if _depth(value) > MAX_ATTRIBUTES_DEPTH:
        raise ValueError(f"must be nested at most {MAX_ATTRIBUTES_DEPTH} levels deep")
    if len(compact_json(value)) > MAX_ATTRIBUTES_BYTES:
        raise ValueError(f"must be at most {MAX_ATTRIBUTES_BYTES} bytes as compact JSON")
    return value


def _depth(value: JsonValue) -> int:
    """Levels of arrays and objects, 0 for a scalar. Level by level: no recursion to run out of."""
    depth, level = 0, _containers([value])
    while level:
        depth += 1
        level = _containers(child for parent in level for child in _children(parent))
    return depth


def _containers(values: Iterable[JsonValue]) -> list[JsonValue]:
    return [value for value in values if isinstance(value, dict | list)]


def _children(value: JsonValue) -> Iterable[JsonValue]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def compact_json(value: object) -> bytes:
    """JSON with sorted keys and no spaces: equal values give equal bytes.

    Raises ValueError for NaN and infinities, which JSON does not have.
    """
    try:
        return json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        ).encode()
    except ValueError as error:
        raise ValueError("must not contain NaN or Infinity, which JSON does not have") from error


Ref = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_REF_BYTES, pattern=NO_CONTROL_CHARACTERS),
    AfterValidator(_within_bytes),
]
"""A promotion id, order ref or cancellation ref: 1 to 256 bytes of UTF-8 without control characters."""

Sku = Ref
"""A product's reference in Fluent; the same limits as any reference."""

Quantity = Annotated[int, Field(ge=1, le=MAX_QUANTITY)]
"""Units asked for in one line. Sums over a message's lines stay far below 2^53."""

Count = Annotated[int, Field(ge=0)]
"""Units or orders counted."""

Units = Annotated[int, Field(ge=1)]
"""Units in an answer: a sum over lines, so it may exceed what one line may ask for."""

PageNumber = Annotated[int, Field(ge=1)]
"""Pages are counted from 1; `page` = `pages` is the last one."""

DurationMinutes = Annotated[int, Field(ge=MIN_DURATION_MINUTES, le=MAX_DURATION_MINUTES)]

OffsetTime = Annotated[str, StringConstraints(pattern=OFFSET_TIME), AfterValidator(_in_the_calendar)]
"""ISO 8601 with `Z` or a numeric offset: a moment, not a wall clock's reading."""

UtcTime = Annotated[str, StringConstraints(pattern=UTC_MILLISECONDS)]
"""How we write times: ISO 8601, UTC, milliseconds, `Z`."""

Attributes = Annotated[JsonValue, AfterValidator(_small_json)]
"""Any JSON of at most 4,096 bytes and 16 levels."""

Lines = tuple[tuple[str, int], ...]
"""(sku, units) pairs, each SKU once."""


class Item(Message):
    """A line: a quantity of one SKU."""

    sku: Sku
    quantity: Quantity


def summed(items: tuple[Item, ...]) -> Lines:
    """(sku, units) with equal SKUs summed, in the order in which each SKU first appears."""
    if len(items) == 1:
        return ((items[0].sku, items[0].quantity),)
    totals: dict[str, int] = {}
    for item in items:
        totals[item.sku] = totals.get(item.sku, 0) + item.quantity
    return tuple(totals.items())
