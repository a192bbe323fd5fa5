"""Reading by a profile's operations: records in our words, pages to their end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from fluent import profile as names
from fluent.client import FluentClient
from fluent.errors import BrokenPaging, UnreadableAnswer
from fluent.parts import Part
from fluent.profile import Profile

MAX_PAGES = 10_000
MOST_UNITS = 2**53
"""More is no quantity: no command of ours could say it."""

P = ParamSpec("P")
T = TypeVar("T")


def readable(read: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Raises UnreadableAnswer where an answer does not have the shape that the profile's mapping expects."""

    @wraps(read)
    async def checked(*given: P.args, **named: P.kwargs) -> T:
        try:
            return await read(*given, **named)
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise UnreadableAnswer(f"{read.__name__}: {type(error).__name__}: {error}") from error

    return checked


class Reading:
    """`deadline` (the client's clock): what is not sent by then is not sent.

    `trace` is a W3C trace context that goes with every call, or empty; `about` are values of the operations'
    variables.
    """

    def __init__(
        self, client: FluentClient, profile: Profile, deadline: float, trace: str = "", **about: Any
    ) -> None:
        self.profile = profile
        self.deadline = deadline
        self._client = client
        self._trace = trace
        self._fixed = {
            "catalogue": client.options.catalogue,
            "retailerId": client.options.retailer_id,
            **about,
        }

    async def read(self, name: str, **values: Any) -> Any:
        """An operation's result."""
        mapped = self.profile.operations[name]
        given = mapped.bind(self._fixed | values)
        data = await self._client.call(mapped.operation, given, self.deadline, self._trace)
        if not shows_all(data):
            raise UnreadableAnswer(f"{name}: there is something that Fluent does not show")
        return mapped.read(data)

    async def pages(self, name: str, at_most: int = MAX_PAGES, **values: Any) -> list[Mapping[str, Any]]:
        """All rows. Raises BrokenPaging where `at_most` pages do not lead to the end."""
        about = self._fixed.get("sku") or "several SKUs"
        rows: list[Mapping[str, Any]] = []
        after: Any = None
        seen: set[Any] = set()
        for _ in range(at_most):
            page = await self.read(name, **({"first": self.profile.page_size} | values), after=after) or {}
            nodes = page.get("nodes")
            if nodes is None and name == names.POSITION_HOLDS and not seen:
                return []  # a position that Fluent does not know has no page at all
            rows += listed(nodes)
            if not decided(page.get("more")):
                return rows
            after = page.get("cursor")
            if after is None or after in seen:
                raise BrokenPaging(f"{name} of {about}: more pages, but the cursor is {after!r} again")
            seen.add(after)
        raise BrokenPaging(f"{name} of {about}: more than {at_most} pages")

    def part(self, row: Mapping[str, Any]) -> Part:
        """A record as a part, or as a booking."""
        status = text(row["status"])
        return Part(
            ref=text(row["ref"]),
            position=str(row.get("position") or ""),
            sku=str(row.get("sku") or self._fixed.get("sku") or ""),
            type=str(row.get("type") or ""),
            units=self.profile.sign * whole(row.get("quantity")),
            live=status in self.profile.live,
            status=status,
            attributes={given["name"]: given["value"] for given in row.get("attributes") or ()},
        )


def shows_all(value: Any) -> bool:
    """Whether each edge of an answer has its node: a mapping leaves out what is null, and what is left out
    must not be taken for nothing."""
    if isinstance(value, list):
        return all(map(shows_all, value))
    if not isinstance(value, dict):
        return True
    edges = value.get("edges")
    if isinstance(edges, list) and any(edge is None or edge.get("node", edge) is None for edge in edges):
        return False
    return all(shows_all(inner) for name, inner in value.items() if name != "attributes")


def listed(rows: Any) -> list[Any]:
    """What is no list must not be taken for "nothing is there"."""
    if not isinstance(rows, list):
        raise TypeError(f"{rows!r:.100} in the place of a list")
    return rows


def decided(value: Any) -> bool:
    """A yes or no, which must be one: where nobody says whether there is more, there may be."""
    if not isinstance(value, bool):
        raise TypeError(f"{value!r:.100} in the place of a yes or no")
    return value


def text(value: Any) -> str:
    """A ref or a status, which must be one: what has no status must not be taken for ended."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.100} in the place of a text")
    return value


def whole(value: Any) -> int:
    """A quantity, 0 where there is none; nothing else counts as nothing."""
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(f"{value!r:.100} in the place of a quantity")
    units = int(value)
    if abs(units) > MOST_UNITS:
        raise ValueError(f"{value!r:.100} in the place of a quantity")
    return units
