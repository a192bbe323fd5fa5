"""The template's operations on the same stock: ``inventories``, ``createInventory``, ``updateInventory``.

The template is the webhook template that this project replaces (docs/template.md).

An AVAILABLE row is a position: LAST_ON_HAND
less what is booked. A RESERVED row is a hold, kept as a SOFT_RESERVE quantity at one position. Creating one
does not lower the AVAILABLE rows, as the template has it: a client that asks how much may be reserved must
subtract the RESERVED ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rehearsal.fluent.limits import connection
from rehearsal.fluent.mutations import SOURCE, required
from rehearsal.fluent.queries import Info, RequestContext, Resolvers
from rehearsal.fluent.records import (
    BOOKED,
    LIVE,
    Attribute,
    Code,
    FluentError,
    Kind,
    Position,
    Quantity,
    Status,
    not_found,
)
from rehearsal.fluent.store import Store
from schemas.times import iso_utc

AVAILABLE, RESERVED = "AVAILABLE", "RESERVED"
"""The two statuses of a row."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """A row of the template's world."""

    seq: int
    ref: str
    product_ref: str
    location_ref: str
    quantity: int
    status: str
    attributes: tuple[Attribute, ...]
    created_ms: int
    updated_ms: int


def _row(record: Position | Quantity, position: Position, units: int, status: str) -> Inventory:
    return Inventory(
        record.seq,
        record.ref,
        position.product_ref,
        position.location_ref,
        units,
        status,
        record.attributes,
        record.created_ms,
        record.updated_ms,
    )


def _hold_row(position: Position, hold: Quantity) -> Inventory:
    return _row(hold, position, *((-hold.quantity, RESERVED) if hold.live else (0, AVAILABLE)))


def _position_row(context: RequestContext, position: Position) -> Inventory:
    units, _ = context.view.aggregate(position, (Kind.LAST_ON_HAND, *BOOKED), LIVE)
    return _row(position, position, units, AVAILABLE)


def _rows(context: RequestContext, catalogue: str, products: list[str] | None) -> Iterator[Inventory]:
    store = context.store
    if products is None:
        positions = [position for position in store.positions.values() if position.catalogue == catalogue]
    else:
        positions = [found for sku in dict.fromkeys(products) for found in store.positions_of(sku, catalogue)]
    for position in positions:
        yield _position_row(context, position)
        for hold in context.view.quantities_of(position, (Kind.SOFT_RESERVE,)):
            yield _hold_row(position, hold)


def _row_matches(row: Inventory, args: dict[str, Any]) -> bool:
    if args.get("ref") is not None and row.ref not in args["ref"]:
        return False
    if args.get("status") is not None and row.status not in args["status"]:
        return False
    values = {found["name"]: found["value"] for found in row.attributes}
    return all(str(values.get(wanted["name"])) == wanted["value"] for wanted in args.get("attributes") or ())


def _catalogue_of(store: Store, retailer_id: str | None) -> str:
    if retailer_id is None:
        return store.catalogue
    ref = f"DEFAULT:{retailer_id}"
    if ref not in store.catalogues:
        raise not_found("Retailer", retailer_id)
    return ref


def inventories(_: object, info: Info, **args: Any) -> dict[str, Any]:
    context = info.context
    rows = _rows(context, _catalogue_of(context.store, args["retailerId"]), args.get("productRef"))
    return connection((row for row in rows if _row_matches(row, args)), args)


def create_inventory(_: object, info: Info, **args: Any) -> Inventory:
    given = required(args)
    store = info.context.store
    if given["status"] != RESERVED:
        raise FluentError(
            Code.INVALID, f"only status {RESERVED} can be created here, got {given['status']!r}"
        )
    catalogue = _catalogue_of(store, given["retailerId"])
    location = given.get("locationRef")
    positions = [
        position
        for position in store.positions_of(given["productRef"], catalogue)
        if location in (None, position.location_ref)
    ]
    if not positions:
        raise not_found("Inventory of product", given["productRef"])
    hold = store.create_quantity(
        ref=given["ref"],
        catalogue=catalogue,
        position=positions[0].ref,
        type=Kind.SOFT_RESERVE,
        status=Status.ACTIVE,
        quantity=-abs(given["quantity"]),
        attributes=_typed(given.get("attributes")),
        source=SOURCE,
    )
    return _hold_row(positions[0], hold)


def update_inventory(_: object, info: Info, **args: Any) -> Inventory:
    given = required(args)
    store = info.context.store
    catalogue = _catalogue_of(store, given.get("retailerId"))
    hold = store.quantity(catalogue, given["ref"])
    if hold is None or hold.type != Kind.SOFT_RESERVE:
        raise not_found("Inventory", given["ref"])
    after = store.update_quantity(catalogue, hold.ref, source=SOURCE, **_hold_changes(given))
    return _hold_row(store.positions[catalogue, after.position], after)


def _hold_changes(given: dict[str, Any]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if given.get("attributes") is not None:
        changes["attributes"] = _typed(given["attributes"])
    status = given.get("status")
    if status == AVAILABLE:
        return {**changes, "status": Status.INACTIVE}
    if status not in (None, RESERVED):
        raise FluentError(Code.INVALID, f"status must be {RESERVED} or {AVAILABLE}, got {status!r}")
    if status == RESERVED:
        changes["status"] = Status.ACTIVE
    if given.get("quantity") is not None:
        changes["quantity"] = -abs(given["quantity"])
    return changes


def _typed(attributes: list[dict[str, Any]] | None) -> tuple[Attribute, ...]:
    """The template's attributes have no type; Fluent's need one."""
    return tuple({**given, "type": given.get("type") or "STRING"} for given in attributes or ())


TEMPLATE: Resolvers = {
    "Query": {"inventories": inventories},
    "Mutation": {"createInventory": create_inventory, "updateInventory": update_inventory},
    "Inventory": {
        "id": lambda row, _: str(row.seq),
        "productRef": lambda row, _: row.product_ref,
        "locationRef": lambda row, _: row.location_ref,
        "createdOn": lambda row, _: iso_utc(row.created_ms),
        "updatedOn": lambda row, _: iso_utc(row.updated_ms),
    },
}
