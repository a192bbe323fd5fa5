"""Requests' documents, parsed and validated once per text."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    IntValueNode,
    OperationDefinitionNode,
    OperationType,
    parse,
    validate,
)

from rehearsal.fluent.complexity import Cost, cost_of

KEPT_DOCUMENTS = 1_000


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a document: the names of its top-level fields, and what it costs."""

    name: str | None
    mutation: bool
    fields: frozenset[str]
    costs: tuple[Cost, ...]
    defaults: Mapping[str, int]

    def complexity(self, variables: Mapping[str, Any]) -> int:
        given = {**self.defaults, **variables}
        return sum(cost.total(given) for cost in self.costs)


@dataclass(frozen=True, slots=True)
class Prepared:
    """``errors`` not empty: the document cannot run, and there are no operations."""

    document: DocumentNode | None
    errors: tuple[GraphQLError, ...]
    operations: Mapping[str | None, Operation]

    def operation(self, name: str | None) -> Operation | None:
        """The one that a request means; None where it does not say which of several."""
        if name is None and len(self.operations) == 1:
            return next(iter(self.operations.values()))
        return self.operations.get(name)


class Documents:
    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._kept: OrderedDict[str, Prepared] = OrderedDict()

    def prepare(self, text: str) -> Prepared:
        found = self._kept.get(text)
        if found is None:
            found = self._kept[text] = self._prepare(text)
            if len(self._kept) > KEPT_DOCUMENTS:
                self._kept.popitem(last=False)
        return found

    def _prepare(self, text: str) -> Prepared:
        try:
            document = parse(text, max_tokens=50_000)
        except GraphQLError as error:
            return Prepared(None, (error,), {})
        errors = validate(self._schema, document)
        if errors:
            return Prepared(document, tuple(errors), {})
        fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        operations = [
            _operation(node, fragments)
            for node in document.definitions
            if isinstance(node, OperationDefinitionNode)
        ]
        return Prepared(document, (), {operation.name: operation for operation in operations})


def _operation(node: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]) -> Operation:
    return Operation(
        name=node.name.value if node.name else None,
        mutation=node.operation is OperationType.MUTATION,
        fields=frozenset(
            selection.name.value
            for selection in node.selection_set.selections
            if isinstance(selection, FieldNode)
        ),
        costs=cost_of(node.selection_set, fragments),
        defaults={
            variable.variable.name.value: int(variable.default_value.value)
            for variable in node.variable_definitions or ()
            if isinstance(variable.default_value, IntValueNode)
        },
    )
