"""A GraphQL request in, a GraphQL answer out: no HTTP, no clock, no faults.

A document is parsed, validated and weighed once, however often it is sent.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
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
    build_schema,
    execute_sync,
    parse,
    validate,
)

from rehearsal.fluent.faults import Refusals
from rehearsal.fluent.limits import MAX_COMPLEXITY, Cost, cost_of
from rehearsal.fluent.mutations import MUTATIONS
from rehearsal.fluent.queries import QUERIES, RequestContext, attach
from rehearsal.fluent.records import Code, FluentError
from rehearsal.fluent.stale_reads import View
from rehearsal.fluent.store import Store
from rehearsal.fluent.template import TEMPLATE

SDL = Path(__file__).with_name("schema.graphqls")
TEMPLATE_SDL = Path(__file__).with_name("template.graphqls")

Answer = dict[str, Any]
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


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """``operation`` is None where the document is invalid or does not say which operation is meant."""

    prepared: Prepared
    operation: Operation | None
    operation_name: str | None
    variables: dict[str, Any]

    @property
    def names(self) -> frozenset[str]:
        """What a one-shot fault can match: the operation's name and its top-level fields."""
        if self.operation is None:
            return frozenset()
        name = self.operation.name or self.operation_name
        return self.operation.fields | ({name} if name else set())


def built_schema(refusals: Refusals) -> GraphQLSchema:
    schema = build_schema(SDL.read_text() + TEMPLATE_SDL.read_text())
    for resolvers in (QUERIES, refusals.guarding(MUTATIONS), refusals.guarding(TEMPLATE)):
        attach(schema, resolvers)
    return schema


def refusal(code: str, message: str) -> Answer:
    """An answer that refuses the whole request."""
    return {"data": None, "errors": [{"message": message, "extensions": {"code": code}}]}


class Executor:
    def __init__(self, store: Store, refusals: Refusals) -> None:
        self._store = store
        self._schema = built_schema(refusals)
        self._documents = Documents(self._schema)

    def prepare(self, body: object) -> GraphQLRequest:
        """Raises ValueError with a sentence when the body is no GraphQL request."""
        if not isinstance(body, dict) or not isinstance(body.get("query"), str):
            raise ValueError('the body must be a JSON object with a text "query"')
        variables = body.get("variables") or {}
        name = body.get("operationName") or None
        if not isinstance(variables, dict) or not isinstance(name, str | None):
            raise ValueError('"variables" must be an object and "operationName" a text')
        prepared = self._documents.prepare(body["query"])
        return GraphQLRequest(prepared, prepared.operation(name), name, variables)

    def execute(
        self, request: GraphQLRequest, view: View | None = None, *, introspection: bool = True
    ) -> Answer:
        """Runs it on the store; reads see the view, by default the store as it is."""
        prepared, operation = request.prepared, request.operation
        if prepared.document is None or prepared.errors:
            return {"data": None, "errors": [_shown(error) for error in prepared.errors]}
        if operation is not None:
            if not introspection and operation.fields & {"__schema", "__type"}:
                return refusal(Code.INTROSPECTION, "introspection is not permitted")
            complexity = operation.complexity(request.variables)
            if complexity > MAX_COMPLEXITY:
                return refusal(Code.COMPLEXITY, f"query complexity {complexity} is above {MAX_COMPLEXITY}")
        result = execute_sync(
            self._schema,
            prepared.document,
            context_value=RequestContext(self._store, view or self._store),
            variable_values=request.variables,
            operation_name=request.operation_name,
        )
        answer: Answer = {"data": result.data}
        if result.errors:
            answer["errors"] = [_shown(error) for error in result.errors]
        return answer


def _shown(error: GraphQLError) -> dict[str, Any]:
    shown: dict[str, Any] = dict(error.formatted)
    if isinstance(error.original_error, FluentError):
        return shown
    # graphql-core's own findings (syntax, validation, variables) against a defect of the simulator.
    known = error.original_error is None or isinstance(error.original_error, GraphQLError)
    shown["extensions"] = {"classification": "ValidationError"} if known else {"code": Code.INTERNAL}
    return shown
