"""The queries of the SDL, and how a record shows as a GraphQL object."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, TypeAlias

from graphql import GraphQLResolveInfo, GraphQLSchema
from pydantic.alias_generators import to_snake

from rehearsal.fluent.limits import connection
from rehearsal.fluent.records import Catalogue, Code, FluentError, Position, Quantity
from rehearsal.fluent.stale_reads import View
from rehearsal.fluent.store import Store
from schemas.times import iso_utc

Resolver = Callable[..., Any]
Resolvers = dict[str, dict[str, Resolver]]
"""By type and field of the schema."""


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What a request's resolvers work on: writes go to the store, reads see the view."""

    store: Store
    view: View


Info: TypeAlias = "GraphQLResolveInfo[RequestContext]"


def _millis(value: object) -> int:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise FluentError(Code.INVALID, f"{value!r} is not an ISO 8601 date and time") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _within(at_ms: int | None, wanted: dict[str, Any]) -> bool:
    if at_ms is None:
        return False
    lower, upper = wanted.get("from"), wanted.get("to")
    return (lower is None or at_ms >= _millis(lower)) and (upper is None or at_ms <= _millis(upper))


LISTS = (
    "ref",
    "type",
    "status",
    "productRef",
    "locationRef",
    "onHand",
    "quantity",
    "condition",
    "storageAreaRef",
)
VALUE_OF: dict[str, Callable[[Any], object]] = {name: attrgetter(to_snake(name)) for name in LISTS}
"""Filters that list the values wanted, and what of a record they look at."""

MOMENT_OF: dict[str, Callable[[Any], int | None]] = {
    "createdOn": attrgetter("created_ms"),
    "updatedOn": attrgetter("updated_ms"),
    "expectedOn": lambda record: None if record.expected_on is None else _millis(record.expected_on),
}
"""Filters that give a range of dates."""


def _matches(record: Position | Quantity, args: dict[str, Any]) -> bool:
    """Whether a record passes every filter among a field's arguments (the schema knows which it may have)."""
    given = {name: wanted for name, wanted in args.items() if wanted is not None}
    return all(
        VALUE_OF[name](record) in wanted if name in VALUE_OF else _within(MOMENT_OF[name](record), wanted)
        for name, wanted in given.items()
        if name in VALUE_OF or name in MOMENT_OF
    )


def _positions(context: RequestContext, args: dict[str, Any], catalogue: str | None) -> dict[str, Any]:
    store = context.store
    found: Iterable[Position] = store.positions.values()
    products = args.get("productRef")
    if products is not None and catalogue is not None:
        found = [
            position for sku in dict.fromkeys(products) for position in store.positions_of(sku, catalogue)
        ]
    elif args.get("ref") is not None and catalogue is not None:
        looked_up = (store.position(catalogue, ref) for ref in dict.fromkeys(args["ref"]))
        found = [position for position in looked_up if position is not None]
    return connection((p for p in found if catalogue in (None, p.catalogue) and _matches(p, args)), args)


def inventory_positions(_: object, info: Info, **args: Any) -> dict[str, Any]:
    catalogue = args.get("catalogue")
    return _positions(info.context, args, catalogue["ref"] if catalogue else None)


def catalogue_positions(catalogue: Catalogue, info: Info, **args: Any) -> dict[str, Any]:
    return _positions(info.context, args, catalogue.ref)


def inventory_quantities(_: object, info: Info, **args: Any) -> dict[str, Any]:
    context = info.context
    key = args.get("catalogue")
    found: Iterator[Quantity]
    if key is not None and args.get("ref") is not None:
        looked_up = (context.view.quantity(key["ref"], ref) for ref in dict.fromkeys(args["ref"]))
        found = (record for record in looked_up if record is not None)
    else:
        found = (q for q in context.view.all_quantities() if key is None or q.catalogue == key["ref"])
    return connection((record for record in found if _matches(record, args)), args)


def position_quantities(position: Position, info: Info, **args: Any) -> dict[str, Any]:
    found = info.context.view.quantities_of(position, args.get("type"))
    return connection((record for record in found if _matches(record, args)), args)


def inventory_position(_: object, info: Info, ref: str, catalogue: dict[str, str]) -> Position | None:
    store = info.context.store
    return store.position(catalogue["ref"], ref)


def inventory_quantity(_: object, info: Info, ref: str, catalogue: dict[str, str]) -> Quantity | None:
    return info.context.view.quantity(catalogue["ref"], ref)


def inventory_catalogue(_: object, info: Info, ref: str) -> Catalogue | None:
    store = info.context.store
    return store.catalogues.get(ref)


def quantity_aggregate(
    _: object,
    info: Info,
    position: dict[str, Any],
    type: list[str] | None = None,
    status: list[str] | None = None,
    expectedOn: dict[str, Any] | None = None,
) -> dict[str, int]:
    context = info.context
    place = context.store.require_position(position["catalogue"]["ref"], position["ref"])
    if expectedOn is None:
        total, count = context.view.aggregate(place, type, status)
        return {"sum": total, "count": count}
    args = {"status": status, "expectedOn": expectedOn}
    found = [q for q in context.view.quantities_of(place, type) if _matches(q, args)]
    return {"sum": sum(q.quantity for q in found), "count": len(found)}


def position_aggregate(
    _: object, info: Info, catalogue: dict[str, str], productRef: str, **args: Any
) -> dict[str, int]:
    context = info.context
    found = [p for p in context.store.positions_of(productRef, catalogue["ref"]) if _matches(p, args)]
    return {"sum": sum(p.on_hand for p in found), "count": len(found)}


def me(_: object, info: Info) -> dict[str, Any]:
    store = info.context.store
    retailer = store.catalogues[store.catalogue].retailer_refs[0]
    return {
        "id": "1",
        "ref": "simulator",
        "username": "simulator",
        "primaryRetailer": {"id": retailer, "ref": retailer},
    }


def _catalogue_of(record: Position | Quantity, info: Info) -> Catalogue:
    store = info.context.store
    return store.catalogues[record.catalogue]


def _position_of(record: Quantity, info: Info) -> Position | None:
    store = info.context.store
    return store.position(record.catalogue, record.position)


_RECORD: dict[str, Resolver] = {
    "id": lambda record, _: str(record.seq),
    "createdOn": lambda record, _: iso_utc(record.created_ms),
    "updatedOn": lambda record, _: iso_utc(record.updated_ms),
    "workflowVersion": lambda *_: 1,
}
_PLACED: dict[str, Resolver] = {
    **_RECORD,
    "workflowRef": lambda record, _: f"INVENTORY_CATALOGUE::{record.catalogue}",
    "catalogue": _catalogue_of,
}

QUERIES: Resolvers = {
    "Query": {
        "me": me,
        "inventoryCatalogue": inventory_catalogue,
        "inventoryPosition": inventory_position,
        "inventoryPositions": inventory_positions,
        "inventoryQuantity": inventory_quantity,
        "inventoryQuantities": inventory_quantities,
        "inventoryQuantityAggregate": quantity_aggregate,
        "inventoryPositionAggregate": position_aggregate,
    },
    "InventoryCatalogue": {
        **_RECORD,
        "updatedOn": lambda record, _: iso_utc(record.created_ms),
        "workflowRef": lambda record, _: f"INVENTORY_CATALOGUE::{record.ref}",
        "name": lambda record, _: record.ref,
        "retailerRefs": lambda record, _: list(record.retailer_refs),
        "attributes": lambda *_: [],
        "inventoryPositions": catalogue_positions,
    },
    "InventoryPosition": {
        **_PLACED,
        "productRef": lambda record, _: record.product_ref,
        "locationRef": lambda record, _: record.location_ref,
        "onHand": lambda record, _: record.on_hand,
        "quantities": position_quantities,
    },
    "InventoryQuantity": {
        **_PLACED,
        "expectedOn": lambda record, _: record.expected_on,
        "storageAreaRef": lambda record, _: record.storage_area_ref,
        "position": _position_of,
    },
}


def attach(schema: GraphQLSchema, resolvers: Resolvers) -> None:
    """Gives the schema's fields their resolvers; the others read the record's attribute of their name."""
    for type_name, fields in resolvers.items():
        found: Any = schema.type_map[type_name]
        for field_name, resolve in fields.items():
            found.fields[field_name].resolve = resolve
