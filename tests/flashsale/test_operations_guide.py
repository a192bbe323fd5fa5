"""docs/operations.md names every alarm and every exit status."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from flashsale.supervisor.exits import CONFIGURATION, MEANINGS
from tests.flashsale.command import ROOT

GUIDE = (ROOT / "docs" / "operations.md").read_text()
ALARMS = ("warning", "error", "exception")


def alarms(path: Path) -> Iterator[str]:
    """The names of the lines that a module logs as warnings or errors."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            texts = [str(each.value) for each in node.args if isinstance(each, ast.Constant)]
            if _logs(node.func):
                yield from texts[:1]
            elif _notifies(node.func):
                yield from texts[1:2]  # after the level


def _logs(called: ast.expr) -> bool:
    return isinstance(called, ast.Attribute) and called.attr in ALARMS and "log" in ast.dump(called)


def _notifies(called: ast.expr) -> bool:
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    return name in ("Notice", "notify")


def modules(*others: str) -> Iterator[Path]:
    for package in ("streams", "agents", "fluent", "flashsale", *others):
        yield from (ROOT / package).rglob("*.py")


EVENTS = sorted({event for path in modules() for event in alarms(path)})


def test_the_alarms_are_found_in_the_code() -> None:
    assert {"worker_ends", "hold_overdue", "dead_letter", "fluent_rate_limited"} <= set(EVENTS)


@pytest.mark.parametrize("event", EVENTS)
def test_every_alarm_is_explained(event: str) -> None:
    assert re.fullmatch("[a-z]+(_[a-z]+)*", event)
    assert f"`{event}`" in GUIDE


def advised(called: ast.Call) -> bool:
    """Whether a line says what a person can do; those of the configuration are a sentence that does."""
    return bool({"recommendation", "notice", None} & {each.arg for each in called.keywords})


@pytest.mark.parametrize("path", list(modules("bridge")), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_warning_and_error_says_what_to_do(path: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    silent = [ast.unparse(call) for call in calls if _logs(call.func) and not advised(call)]
    assert silent == []


def test_every_exit_status_is_explained() -> None:
    for status in (0, CONFIGURATION, *MEANINGS):
        assert f"| {status} |" in GUIDE or f"| {status}, or a signal |" in GUIDE
