"""The mutations of the SDL. Values are absolute; anybody may set any status, as in Fluent."""

from __future__ import annotations

from typing import Any

from pydantic.alias_generators import to_snake

from rehearsal.fluent.queries import Info, Resolvers
from rehearsal.fluent.records import Attribute, Code, FluentError, Position, Quantity

SOURCE = "api"

POSITION_FIELDS = ("status", "type", "productRef", "onHand", "locationRef")
QUANTITY_FIELDS = ("status", "type", "quantity", "condition", "expectedOn", "storageAreaRef")
"""What an update may change besides the attributes."""


def required(args: dict[str, Any], name: str = "input") -> dict[str, Any]:
    """The argument, which the schema calls nullable, although every mutation needs it."""
    value: dict[str, Any] | None = args.get(name)
    if value is None:
        raise FluentError(Code.INVALID, f"{name} must not be null")
    return value


def _changes(given: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    changes = {to_snake(name): given[name] for name in names if given.get(name) is not None}
    if given.get("attributes") is not None:
        changes["attributes"] = _attributes(given)
    return changes


def _attributes(given: dict[str, Any]) -> tuple[Attribute, ...]:
    """The schema lets single attributes be null; none is kept of those."""
    return tuple(found for found in given.get("attributes") or () if found is not None)


def create_quantity(_: object, info: Info, **args: Any) -> Quantity:
    given = required(args)
    store = info.context.store
    if given["position"]["catalogue"]["ref"] != given["catalogue"]["ref"]:
        raise FluentError(Code.INVALID, "a quantity and its position must be of the same catalogue")
    return store.create_quantity(
        ref=given["ref"],
        catalogue=given["catalogue"]["ref"],
        position=given["position"]["ref"],
        type=given["type"],
        quantity=given["quantity"],
        attributes=_attributes(given),
        condition=given.get("condition"),
        expected_on=given.get("expectedOn"),
        storage_area_ref=given.get("storageAreaRef"),
        source=SOURCE,
    )


def update_quantity(_: object, info: Info, **args: Any) -> Quantity:
    given = required(args)
    store = info.context.store
    changes = _changes(given, QUANTITY_FIELDS)
    return store.update_quantity(given["catalogue"]["ref"], given["ref"], source=SOURCE, **changes)


def update_quantities_status(
    _: object, info: Info, filter: dict[str, Any], input: dict[str, Any]
) -> dict[str, int]:
    store = info.context.store
    position = store.require_position(filter["position"]["catalogue"]["ref"], filter["position"]["ref"])
    statuses = filter.get("status")
    found = [
        record
        for record in store.quantities_of(position, filter.get("type"))
        if statuses is None or record.status in statuses
    ]
    for record in found:
        store.update_quantity(record.catalogue, record.ref, source=SOURCE, status=input["status"])
    return {"count": len(found)}


def create_position(_: object, info: Info, **args: Any) -> Position:
    given = required(args)
    store = info.context.store
    return store.create_position(
        ref=given["ref"],
        catalogue=given["catalogue"]["ref"],
        product_ref=given["productRef"],
        location_ref=given["locationRef"],
        type=given["type"],
        on_hand=given.get("onHand") or 0,
        attributes=_attributes(given),
    )


def update_position(_: object, info: Info, **args: Any) -> Position:
    given = required(args)
    store = info.context.store
    changes = _changes(given, POSITION_FIELDS)
    return store.update_position(given["catalogue"]["ref"], given["ref"], **changes)


MUTATIONS: Resolvers = {
    "Mutation": {
        "createInventoryPosition": create_position,
        "updateInventoryPosition": update_position,
        "createInventoryQuantity": create_quantity,
        "updateInventoryQuantity": update_quantity,
        "updateInventoryQuantitiesStatus": update_quantities_status,
    }
}
