"""docs/bridge.md names every line that the bridge logs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "bridge.md").read_text(encoding="utf-8")
LEVELS = ("info", "warning", "error", "exception")


def logged(path: Path) -> Iterator[str]:
    """The events that a module logs."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
            yield from [str(first.value) for first in node.args[:1] if isinstance(first, ast.Constant)]


EVENTS = sorted({event for path in (ROOT / "bridge").rglob("*.py") for event in logged(path)})


@pytest.mark.parametrize("event", EVENTS)
def test_every_log_line_is_explained(event: str) -> None:
    assert event.replace("_", "").islower() and f"`{event}`" in GUIDE
