"""Planting a bug: one function of the program runs with a piece of its source replaced."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any


@dataclass(frozen=True)
class Bug:
    """`right` is replaced by `wrong` in the function `where`, such as "streams.ledger.rows:Rows.reset"."""

    name: str
    where: str
    right: str
    wrong: str


@contextmanager
def planted(bug: Bug) -> Iterator[None]:
    """The program with this bug. Raises ValueError where the source does not have the piece exactly once."""
    function = _function(bug.where)
    right = function.__code__
    function.__code__ = _mutated(function, bug)
    try:
        yield
    finally:
        function.__code__ = right


def _function(where: str) -> FunctionType:
    """The function itself: whoever imported it runs the bug, too."""
    module, _, path = where.partition(":")
    found: Any = importlib.import_module(module)
    for name in path.split("."):
        found = inspect.getattr_static(found, name)
    if isinstance(found, property) and found.fget is not None:
        found = found.fget
    if not isinstance(found, FunctionType):
        raise ValueError(f"{where} is not a function")
    return found


def _mutated(function: FunctionType, bug: Bug) -> CodeType:
    lines, first = inspect.getsourcelines(function)
    source = "".join(lines)
    if source.count(bug.right) != 1:
        raise ValueError(f"{bug.name}: {bug.where} has {source.count(bug.right)} times {bug.right!r}")
    whole, _ = inspect.findsource(function)
    mutated = source.replace(bug.right, bug.wrong)
    text = "".join([*whole[: first - 1], mutated, *whole[first - 1 + len(lines) :]])
    filename = function.__code__.co_filename
    return _named(compile(text, filename, "exec"), function.__qualname__.split("."))


def _named(code: CodeType, path: list[str]) -> CodeType:
    for name in path:
        code = next(each for each in code.co_consts if isinstance(each, CodeType) and each.co_name == name)
    return code
