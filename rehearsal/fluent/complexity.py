"""How much a query asks for, estimated before it runs, as Fluent does.

Fluent's documentation (GraphQL Query Limits): the total complexity is the number of database operations
that a query may need, at most 11,111; an aggregate weighs 10. The estimate here: a field with sub-fields
costs 1, a connection ``first`` times (1 + what each record asks for), fields without sub-fields nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    IntValueNode,
    SelectionSetNode,
    VariableNode,
)

from rehearsal.fluent.paging import DEFAULT_RECORDS, MAX_RECORDS

MAX_COMPLEXITY = 11_111
AGGREGATE_WEIGHT = 10
CONNECTIONS = frozenset({"inventoryPositions", "inventoryQuantities", "quantities", "inventories"})
# What wraps records or is stored with them costs no operation of its own.
FREE = frozenset({"edges", "node", "pageInfo", "attributes"})


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one field: ``page`` is a number, a variable's name, or None where it is no connection."""

    own: int
    page: int | str | None
    children: tuple[Cost, ...]

    def total(self, variables: Mapping[str, Any]) -> int:
        children = sum(child.total(variables) for child in self.children)
        if self.page is None:
            return self.own + children
        page = self.page if isinstance(self.page, int) else variables.get(self.page)
        records = min(page, MAX_RECORDS) if isinstance(page, int) and page > 0 else DEFAULT_RECORDS
        return records * (1 + children)


def cost_of(selection: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode]) -> tuple[Cost, ...]:
    """The costs of a (valid, hence finite) selection set's fields."""
    costs: list[Cost] = []
    for node in selection.selections:
        if isinstance(node, FieldNode):
            costs.append(_field_cost(node, fragments))
        elif isinstance(node, InlineFragmentNode):
            costs.extend(cost_of(node.selection_set, fragments))
        elif isinstance(node, FragmentSpreadNode):
            costs.extend(cost_of(fragments[node.name.value].selection_set, fragments))
    return tuple(costs)


def _field_cost(node: FieldNode, fragments: Mapping[str, FragmentDefinitionNode]) -> Cost:
    name = node.name.value
    if node.selection_set is None or name.startswith("__"):
        return Cost(0, None, ())
    children = cost_of(node.selection_set, fragments)
    if name in CONNECTIONS:
        return Cost(0, _page(node), children)
    if name.endswith("Aggregate"):
        return Cost(AGGREGATE_WEIGHT, None, children)
    return Cost(0 if name in FREE else 1, None, children)


def _page(node: FieldNode) -> int | str:
    for argument in node.arguments or ():
        if argument.name.value in ("first", "last"):
            if isinstance(argument.value, IntValueNode):
                return int(argument.value.value)
            if isinstance(argument.value, VariableNode):
                return argument.value.name.value
    return DEFAULT_RECORDS
