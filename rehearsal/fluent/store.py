"""The stock: catalogues, positions and quantities in memory. Synchronous, no clock of its own, no randomness.

It has Fluent's manners: refs are unique in a catalogue and at most 100 characters, nothing is ever deleted,
nothing can be written on a condition, and any status may be set by anybody at any time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from heapq import merge
from operator import attrgetter
from typing import Any

from rehearsal.fluent.records import (
    MAX_REF_CHARACTERS,
    Attribute,
    Catalogue,
    Code,
    FluentError,
    Kind,
    Position,
    Quantity,
    Status,
    not_found,
    position_ref,
)

Key = tuple[str, str]
"""(catalogue ref, ref)"""

Listener = Callable[[Position, Quantity | None, Quantity, str], None]
"""Told of every change of a quantity: its position, the record before, the record after, who did it."""


class Store:
    def __init__(self, clock: Callable[[], int], catalogue: str = "DEFAULT:1") -> None:
        """``clock`` gives Unix milliseconds; ``catalogue`` is the one that holds the stock."""
        self.clock = clock
        self.catalogue = catalogue
        self.catalogues: dict[str, Catalogue] = {}
        self.positions: dict[Key, Position] = {}
        self.quantities: dict[Key, Quantity] = {}
        self.listeners: list[Listener] = []
        self._seq = 0
        self._by_product: dict[Key, list[Key]] = defaultdict(list)
        # Per position and type, in order of creation: replacing a record keeps its place in the dict.
        self._buckets: dict[Key, dict[str, dict[str, Quantity]]] = defaultdict(lambda: defaultdict(dict))
        self._sums: dict[Key, dict[tuple[str, str], list[int]]] = defaultdict(dict)
        self.add_catalogue(catalogue)

    def position(self, catalogue: str, ref: str) -> Position | None:
        return self.positions.get((catalogue, ref))

    def quantity(self, catalogue: str, ref: str) -> Quantity | None:
        return self.quantities.get((catalogue, ref))

    def positions_of(self, sku: str, catalogue: str | None = None) -> list[Position]:
        """In order of creation."""
        return [self.positions[key] for key in self._by_product.get((catalogue or self.catalogue, sku), ())]

    def quantities_of(self, position: Position, types: Sequence[str] | None = None) -> Iterator[Quantity]:
        """A position's quantities in order of creation, of the given types only."""
        buckets = self._buckets[position.catalogue, position.ref]
        wanted = [
            buckets[kind] for kind in (buckets if types is None else dict.fromkeys(types)) if kind in buckets
        ]
        return merge(*(bucket.values() for bucket in wanted), key=attrgetter("seq"))

    def all_quantities(self) -> Iterator[Quantity]:
        return iter(self.quantities.values())

    def aggregate(
        self, position: Position, types: Sequence[str] | None, statuses: Sequence[str] | None
    ) -> tuple[int, int]:
        """Sum and count of a position's quantities, None for any; costs the same however many there are."""
        total = count = 0
        for (kind, status), (units, records) in self._sums[position.catalogue, position.ref].items():
            if (types is None or kind in types) and (statuses is None or status in statuses):
                total += units
                count += records
        return total, count

    def require_position(self, catalogue: str, ref: str) -> Position:
        found = self.positions.get((catalogue, ref))
        if found is None:
            raise not_found("InventoryPosition", ref)
        return found

    def add_catalogue(self, ref: str) -> Catalogue:
        retailer = ref.rpartition(":")[2]
        self.catalogues[ref] = Catalogue(self._next(), ref, (retailer,), self.clock())
        return self.catalogues[ref]

    def load(self, stock: dict[str, dict[str, int]]) -> None:
        """Creates a position with an ACTIVE LAST_ON_HAND quantity for each ``{sku: {location: units}}``."""
        for sku, locations in stock.items():
            for location, units in locations.items():
                ref = position_ref(sku, location)
                self.create_position(ref=ref, product_ref=sku, location_ref=location, on_hand=units)
                self.create_quantity(
                    ref=f"{ref}:{Kind.LAST_ON_HAND}"[-MAX_REF_CHARACTERS:],
                    position=ref,
                    type=Kind.LAST_ON_HAND,
                    quantity=units,
                    status=Status.ACTIVE,
                    source="stock",
                )

    def create_position(
        self,
        *,
        ref: str,
        product_ref: str,
        location_ref: str,
        catalogue: str | None = None,
        type: str = "DEFAULT",
        on_hand: int = 0,
        attributes: Iterable[Attribute] = (),
    ) -> Position:
        key = self._new_key(catalogue, ref, self.positions, "InventoryPosition", Code.DUPLICATE_POSITION)
        now = self.clock()
        created = Position(
            self._next(),
            ref,
            key[0],
            product_ref,
            location_ref,
            type,
            Status.ACTIVE,
            on_hand,
            tuple(attributes),
            now,
            now,
        )
        self.positions[key] = created
        self._by_product[key[0], product_ref].append(key)
        return created

    def update_position(self, catalogue: str, ref: str, **changes: Any) -> Position:
        before = self.require_position(catalogue, ref)
        after = replace(before, updated_ms=self.clock(), **changes)
        self.positions[catalogue, ref] = after
        if after.product_ref != before.product_ref:
            self._by_product[catalogue, before.product_ref].remove((catalogue, ref))
            self._by_product[catalogue, after.product_ref].append((catalogue, ref))
        return after

    def create_quantity(
        self,
        *,
        ref: str,
        position: str,
        type: str,
        quantity: int,
        source: str,
        catalogue: str | None = None,
        status: str = Status.CREATED,
        attributes: Iterable[Attribute] = (),
        condition: str | None = None,
        expected_on: str | None = None,
        storage_area_ref: str | None = None,
    ) -> Quantity:
        key = self._new_key(catalogue, ref, self.quantities, "InventoryQuantity", Code.DUPLICATE_QUANTITY)
        place = self.require_position(key[0], position)
        now = self.clock()
        created = Quantity(
            seq=self._next(),
            ref=ref,
            catalogue=key[0],
            position=position,
            type=type,
            status=status,
            quantity=quantity,
            attributes=tuple(attributes),
            condition=condition,
            expected_on=expected_on,
            storage_area_ref=storage_area_ref,
            created_ms=now,
            updated_ms=now,
        )
        self._put(place, None, created, source)
        return created

    def update_quantity(self, catalogue: str, ref: str, *, source: str, **changes: Any) -> Quantity:
        """Absolute values; what is not named stays."""
        before = self.quantities.get((catalogue, ref))
        if before is None:
            raise not_found("InventoryQuantity", ref)
        after = replace(before, updated_ms=self.clock(), **changes)
        self._put(self.positions[catalogue, before.position], before, after, source)
        return after

    def _put(self, position: Position, before: Quantity | None, after: Quantity, source: str) -> None:
        place = (position.catalogue, position.ref)
        self.quantities[after.catalogue, after.ref] = after
        bucket = self._buckets[place][after.type]
        bucket[after.ref] = after
        self._count(place, after, +1)
        if before is not None:
            self._count(place, before, -1)
            if before.type != after.type:
                del self._buckets[place][before.type][before.ref]
                in_order = sorted(bucket.values(), key=attrgetter("seq"))
                self._buckets[place][after.type] = {record.ref: record for record in in_order}
        for listener in self.listeners:
            listener(position, before, after, source)

    def _count(self, place: Key, record: Quantity, sign: int) -> None:
        figures = self._sums[place].setdefault((record.type, record.status), [0, 0])
        figures[0] += sign * record.quantity
        figures[1] += sign

    def _new_key(
        self, catalogue: str | None, ref: str, taken: dict[Key, Any], what: str, duplicate: str
    ) -> Key:
        key = (catalogue or self.catalogue, ref)
        if key[0] not in self.catalogues:
            raise not_found("InventoryCatalogue", key[0])
        if not ref or len(ref) > MAX_REF_CHARACTERS:
            raise FluentError(
                Code.INVALID, f"{what}: ref must have 1 to {MAX_REF_CHARACTERS} characters, got {len(ref)}"
            )
        if key in taken:
            raise FluentError(duplicate, f"{what} with ref {ref!r} exists already in catalogue {key[0]!r}")
        return key

    def _next(self) -> int:
        self._seq += 1
        return self._seq
