"""A GraphQL request in, a GraphQL answer out: no HTTP, no clock, no faults."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphql import GraphQLError, GraphQLSchema, build_schema, execute_sync

from rehearsal.fluent.complexity import MAX_COMPLEXITY
from rehearsal.fluent.documents import Documents, Operation, Prepared
from rehearsal.fluent.errors import COMPLEXITY, INTERNAL, FluentError
from rehearsal.fluent.mutations import MUTATIONS
from rehearsal.fluent.refusals import Refusals
from rehearsal.fluent.resolvers import RESOLVERS, RequestContext, attach
from rehearsal.fluent.store import Store
from rehearsal.fluent.template import TEMPLATE
from rehearsal.fluent.views import View

SDL = Path(__file__).with_name("schema.graphqls")
TEMPLATE_SDL = Path(__file__).with_name("template.graphqls")

Answer = dict[str, Any]


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
    for resolvers in (RESOLVERS, refusals.guarding(MUTATIONS), refusals.guarding(TEMPLATE)):
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
                return refusal("C0020E", "introspection is not permitted")
            complexity = operation.complexity(request.variables)
            if complexity > MAX_COMPLEXITY:
                return refusal(COMPLEXITY, f"query complexity {complexity} is above {MAX_COMPLEXITY}")
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
    shown["extensions"] = {"classification": "ValidationError"} if known else {"code": INTERNAL}
    return shown
