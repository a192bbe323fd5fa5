"""Changes to the functions of a module: which there are, and the code that each of them makes."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

SWAPS: dict[type[ast.AST], type[Any]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or,
    ast.Or: ast.And, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult,
}  # fmt: skip
"""An operator and what takes its place."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
BLOCKS = ("body", "orelse", "finalbody")


@dataclass(frozen=True)
class Mutant:
    """One change to one function: to which of its nodes, as `ast.walk` counts them, and how it changes."""

    module: str
    function: str
    """Its qualified name."""
    line: int
    node: int
    how: str
    text: str
    """The line as it is."""

    @property
    def where(self) -> str:
        """For people."""
        return f"{self.module}:{self.line} {self.function}: {self.how}: {self.text}"


def mutants_of(module: str) -> Iterator[Mutant]:
    """Every change to the functions and methods of a module."""
    path = Path(inspect.getfile(importlib.import_module(module)))
    lines = path.read_text().splitlines()
    for name, function in functions_in(ast.parse(path.read_text())):
        for number, node in enumerate(ast.walk(function)):
            for how, line in _changes(node):
                yield Mutant(module, name, line, number, how, lines[line - 1].strip())


def functions_in(tree: ast.Module) -> Iterator[tuple[str, Function]]:
    """Functions of the module and methods of its classes, by their qualified names."""
    for outer in tree.body:
        if isinstance(outer, Function):
            yield outer.name, outer
        elif isinstance(outer, ast.ClassDef):
            methods = [each for each in outer.body if isinstance(each, Function)]
            yield from ((f"{outer.name}.{each.name}", each) for each in methods)


def _changes(node: ast.AST) -> Iterator[tuple[str, int]]:
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in SWAPS:
        yield f"{_name(node.ops[0])} becomes {SWAPS[type(node.ops[0])].__name__}", node.lineno
    elif isinstance(node, ast.BoolOp | ast.BinOp | ast.AugAssign) and type(node.op) in SWAPS:
        yield f"{_name(node.op)} becomes {SWAPS[type(node.op)].__name__}", node.lineno
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        yield "one more", node.lineno
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        yield from ((f"the condition is {value}", node.test.lineno) for value in (True, False)
                    if value is False or not isinstance(node, ast.While))  # fmt: skip
    for block in BLOCKS:
        statements = getattr(node, block, None)
        for place, statement in enumerate(statements if isinstance(statements, list) else ()):
            if _can_go(statement):
                yield f"{block} {place} goes", statement.lineno


def _name(operator: ast.AST) -> str:
    return type(operator).__name__


def _can_go(statement: Any) -> bool:
    """Statements that have an effect, but for lines of the log."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call | ast.Await):
        return not ast.unparse(statement).startswith(("log.", "turn.notify"))
    if isinstance(statement, ast.Assign):
        return not isinstance(statement.targets[0], ast.Name | ast.Tuple)
    return isinstance(statement, ast.AugAssign | ast.Delete)


def plant(mutant: Mutant) -> None:
    """Change the function of this process. Whoever imported it runs the change, too."""
    function = function_of(mutant)
    path = Path(inspect.getfile(function))
    tree = ast.parse(path.read_text())
    changed = dict(functions_in(tree))[mutant.function]
    _change(list(ast.walk(changed))[mutant.node], mutant.how)
    code = compile(ast.fix_missing_locations(tree), str(path), "exec")
    for name in mutant.function.split("."):
        code = next(each for each in code.co_consts if isinstance(each, CodeType) and each.co_name == name)
    function.__code__ = code
    _change_defaults(function, changed.args)


def _change_defaults(function: FunctionType, arguments: ast.arguments) -> None:
    """What may be left out has its value apart from the function's code."""

    def value(node: ast.expr, was: Any) -> Any:
        try:
            return ast.literal_eval(node)
        except ValueError:  # a name, which no change is about
            return was

    given, named = function.__defaults__ or (), function.__kwdefaults__ or {}
    function.__defaults__ = tuple(map(value, arguments.defaults, given)) or None
    nodes = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    function.__kwdefaults__ = {
        each.arg: value(node, named[each.arg]) for each, node in nodes if node is not None
    }


def function_of(mutant: Mutant) -> FunctionType:
    """The function itself. Raises TypeError where it is of a kind that cannot be changed."""
    found: Any = importlib.import_module(mutant.module)
    for name in mutant.function.split("."):
        found = inspect.getattr_static(found, name)
    found = getattr(found, "fget", None) or getattr(found, "__func__", found)
    found = inspect.unwrap(found)
    if not isinstance(found, FunctionType):
        raise TypeError(f"{mutant.function} of {mutant.module} is no function that can be changed")
    return found


def _change(node: Any, how: str) -> None:
    if how == "one more":
        node.value += 1
    elif how.startswith("the condition is"):
        node.test = ast.Constant(how.endswith("True"))
    elif how.endswith("goes"):
        block, place, _ = how.split()
        getattr(node, block)[int(place)] = ast.Pass()
    elif isinstance(node, ast.Compare):
        node.ops = [SWAPS[type(node.ops[0])]()]
    else:
        node.op = SWAPS[type(node.op)]()
