"""GraphQL documents from files, and how several calls of one operation become one request.

Each call's variables, and the top-level fields they feed, get a prefix of the call's own (`c0_`, `c1_`, …):

    query FindParts($c0_refs: [String!], $c1_refs: [String!]) {
      c0_parts: inventoryQuantities(ref: $c0_refs) { … }
      c1_parts: inventoryQuantities(ref: $c1_refs) { … }
    }

A batch holds one operation only, so that its text depends on the number of calls alone and both sides can
keep what they made of it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    NameNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
    Visitor,
    parse,
    print_ast,
    visit,
)

PREFIX = "PREFIX__"
"""Stands for a call's own prefix; GraphQL reserves names that begin with two underscores, this does not."""


MAX_ALIAS_CHARS = 8
"""Of a call's own prefix: no batch has a million calls."""


class DocumentError(ValueError):
    """A document cannot be used: one sentence with the file's name."""


class Operation:
    """One operation of one file. `batch` is how many calls a request may hold."""

    def __init__(self, name: str, text: str, batch: int = 1) -> None:
        """`name` is the file's, for errors. Raises DocumentError."""
        self.source = name
        self.text = text
        self.batch = batch
        document = _parsed(name, text)
        definition = _only_operation(name, document)
        self.name = definition.name.value if definition.name else name
        self.is_write = definition.operation is OperationType.MUTATION
        self.variables = tuple(node.variable.name.value for node in definition.variable_definitions or ())
        self._kind = definition.operation.value
        self._fragments = "\n".join(
            print_ast(node) for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        )
        prefixed = _prefixed(name, definition)
        self._definitions = [print_ast(node) for node in prefixed.variable_definitions or ()]
        self._selections = [print_ast(node) for node in prefixed.selection_set.selections]
        self.compose = lru_cache(maxsize=256)(self._compose)

    def _compose(self, calls: int) -> str:
        prefixes = [f"c{index}_" for index in range(calls)]
        variables = _joined(", ", self._definitions, prefixes)
        head = f"{self._kind} {self.name}" + (f"({variables})" if variables else "")
        body = _joined("\n", self._selections, prefixes)
        return f"{head} {{\n{body}\n}}\n{self._fragments}"

    def request(self, calls: list[dict[str, Any]]) -> dict[str, Any]:
        """The body of the request that makes these calls (the variables of each)."""
        variables = {
            f"c{index}_{name}": value for index, given in enumerate(calls) for name, value in given.items()
        }
        return {"query": self.compose(len(calls)), "variables": variables, "operationName": self.name}


def split_alias(alias: object) -> tuple[int, str] | None:
    """(number of the call, name of the field) of a prefixed response name; None where it is none."""
    head, _, name = str(alias).partition("_")
    is_alias = head[:1] == "c" and head[1:].isdecimal() and len(head) < MAX_ALIAS_CHARS and bool(name)
    return (int(head[1:]), name) if is_alias else None


def _joined(separator: str, parts: list[str], prefixes: list[str]) -> str:
    return separator.join(part.replace(PREFIX, prefix) for prefix in prefixes for part in parts)


def _parsed(name: str, text: str) -> DocumentNode:
    try:
        return parse(text, no_location=True)
    except GraphQLError as error:
        raise DocumentError(f"{name} is not GraphQL: {error.message}") from None


def _only_operation(name: str, document: DocumentNode) -> OperationDefinitionNode:
    found = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    if len(found) != 1 or found[0].name is None:
        raise DocumentError(f"{name} must hold exactly one operation, with a name")
    return found[0]


class _Prefixer(Visitor):
    def enter_variable(self, node: VariableNode, *_: object) -> VariableNode:
        return VariableNode(name=NameNode(value=PREFIX + node.name.value))


def _prefixed(name: str, definition: OperationDefinitionNode) -> OperationDefinitionNode:
    selections = definition.selection_set.selections
    if not all(isinstance(node, FieldNode) for node in selections):
        raise DocumentError(f"{name}: the operation's own selection must be fields, without fragments")
    renamed: OperationDefinitionNode = visit(definition, _Prefixer())
    aliased = tuple(
        FieldNode(
            alias=NameNode(value=PREFIX + (node.alias or node.name).value),
            name=node.name,
            arguments=node.arguments,
            directives=node.directives,
            selection_set=node.selection_set,
        )
        for node in renamed.selection_set.selections
        if isinstance(node, FieldNode)
    )
    return OperationDefinitionNode(
        operation=renamed.operation,
        name=renamed.name,
        variable_definitions=renamed.variable_definitions,
        directives=renamed.directives,
        selection_set=SelectionSetNode(selections=aliased),
    )
