"""How much a client may ask for: requests a second, records a page, and complexity.

Source of pages and complexity: Fluent's documentation (GraphQL Query Limits). ``first`` and ``last`` are from
1 to 5,000, higher values are taken as 5,000, 10 unless given; cursors are opaque and there is no endCursor.
The complexity of a query is the number of database operations that it may need, at most 11,111; an aggregate
weighs 10. The estimate here: a field with sub-fields costs 1, a connection ``first`` times (1 + what each
record asks for), a field without sub-fields nothing.
"""

from __future__ import annotations

import base64
import binascii
import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    IntValueNode,
    SelectionSetNode,
    VariableNode,
)

from rehearsal.fluent.records import Code, FluentError
from rehearsal.fluent.switches import Controls

DEFAULT_RECORDS = 10
MAX_RECORDS = 5_000
MAX_COMPLEXITY = 11_111
AGGREGATE_WEIGHT = 10
CONNECTIONS = frozenset({"inventoryPositions", "inventoryQuantities", "quantities", "inventories"})
# What wraps records or is stored with them costs no operation of its own.
FREE = frozenset({"edges", "node", "pageInfo", "attributes"})


class RateLimit:
    """A bucket that fills at the allowed rate and holds one second's worth."""

    def __init__(self, controls: Controls, clock: Callable[[], int]) -> None:
        self._controls = controls
        self._clock = clock
        self._left = math.inf
        self._at_ms = 0
        self.refused = 0

    def refill(self) -> None:
        self._left = math.inf

    def take(self) -> bool:
        """Whether one more request is allowed now."""
        rate = self._controls.requests_per_second
        if not rate:
            return True
        now = self._clock()
        self._left = min(max(rate, 1), self._left + (now - self._at_ms) * rate / 1000)
        self._at_ms = now
        if self._left < 1:
            self.refused += 1
            return False
        self._left -= 1
        return True


class Sequenced(Protocol):
    @property
    def seq(self) -> int: ...


Record = TypeVar("Record", bound=Sequenced)


def connection(records: Iterable[Record], args: dict[str, Any]) -> dict[str, Any]:
    """One page of records in order of their seq, as edges and pageInfo.

    ``first``/``after`` pages forwards; ``last``/``before`` backwards, when there is no ``first``.
    """
    found = sorted(records, key=lambda record: record.seq)
    lower, upper = args.get("after"), args.get("before")
    start = 0 if lower is None else bisect_right(found, _seq_of(lower), key=lambda record: record.seq)
    end = len(found) if upper is None else bisect_left(found, _seq_of(upper), key=lambda record: record.seq)
    if args.get("last") is not None and args.get("first") is None:
        start = max(start, end - _page_size(args["last"]))
    else:
        end = min(end, start + _page_size(args.get("first")))
    return {
        "edges": [{"node": record, "cursor": _cursor_of(record.seq)} for record in found[start:end]],
        "pageInfo": {"hasNextPage": end < len(found), "hasPreviousPage": start > 0},
    }


def _cursor_of(seq: int) -> str:
    return base64.urlsafe_b64encode(b"cursor:%d" % seq).decode()


def _seq_of(cursor: str) -> int:
    try:
        prefix, _, seq = base64.urlsafe_b64decode(cursor.encode()).partition(b":")
        if prefix == b"cursor":
            return int(seq)
    except (binascii.Error, ValueError):
        pass
    raise FluentError(Code.INVALID, f"{cursor!r} is not a cursor of this API")


def _page_size(asked: int | None) -> int:
    if asked is None:
        return DEFAULT_RECORDS
    if asked < 1:
        raise FluentError(Code.INVALID, f"first and last must be from 1 to {MAX_RECORDS}, got {asked}")
    return min(asked, MAX_RECORDS)


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
