"""Errors of single fields on demand: one alias of a batch fails with any code while its neighbours stand."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from rehearsal.fluent.controls import Wire
from rehearsal.fluent.errors import FluentError
from rehearsal.fluent.resolvers import Info, Resolver


class Refusal(Wire):
    """The next ``count`` mutations of the record with this ref fail with ``code``; ``applied``: although the
    change was made."""

    ref: str
    code: str
    applied: bool = False
    count: int = Field(1, ge=1)

    def error(self) -> FluentError:
        return FluentError(self.code, f"refused on demand: {self.ref}")


class Refusals:
    def __init__(self) -> None:
        self._due: dict[str, list[Refusal]] = {}

    def add(self, refusal: Refusal) -> None:
        self._due.setdefault(refusal.ref, []).extend([refusal] * refusal.count)

    def take(self, ref: str | None) -> Refusal | None:
        due = self._due.get(ref or "")
        return due.pop(0) if due else None

    def waiting(self) -> dict[str, int]:
        return {ref: len(due) for ref, due in self._due.items() if due}

    def guarding(self, resolvers: dict[str, dict[str, Resolver]]) -> dict[str, dict[str, Resolver]]:
        """The same mutations, each asking first whether it is to be refused."""
        mutations = {name: self._guarded(resolve) for name, resolve in resolvers["Mutation"].items()}
        return {**resolvers, "Mutation": mutations}

    def _guarded(self, resolve: Resolver) -> Resolver:
        def guarded(source: object, info: Info, **args: Any) -> Any:
            refusal = self.take((args.get("input") or {}).get("ref"))
            if refusal is not None and not refusal.applied:
                raise refusal.error()
            result = resolve(source, info, **args)
            if refusal is not None:
                raise refusal.error()
            return result

        return guarded
