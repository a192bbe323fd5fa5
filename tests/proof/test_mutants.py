"""The list of what no test notices: changes are made where they are said to be, and who notices is told."""

from __future__ import annotations

import ast
import os
import signal

import pytest

from streams.ledger.watermark import raise_watermark
from tests.proof.mutants import mutate, trial
from tests.proof.mutants.mutate import Mutant, mutants_of, plant

MODULE = "streams.ledger.watermark"
SOURCE = """
def f(a, b):
    if a < b and not b:
        a.units += 1
        g(a)
        log.info("said")
    return a if a is b else 7 + b
"""


def changes(source: str) -> list[str]:
    (function,) = dict(mutate.functions_in(ast.parse(source))).values()
    return sorted(how for node in ast.walk(function) for how, _ in mutate._changes(node))


def test_operators_numbers_conditions_and_statements_are_changed_and_lines_of_the_log_are_not() -> None:
    assert changes(SOURCE) == sorted(
        ["Lt becomes LtE", "And becomes Or", "Add becomes Sub", "Add becomes Sub", "Is becomes IsNot"]
        + ["one more", "one more", "body 0 goes", "body 1 goes"]
        + ["the condition is True", "the condition is False"] * 2
    )


@pytest.mark.parametrize("mutant", list(mutants_of(MODULE)), ids=lambda mutant: mutant.how)
def test_a_change_is_made_in_the_function_that_it_names(mutant: Mutant) -> None:
    function = mutate._function(mutant)
    before = function.__code__
    try:
        plant(mutant)
        assert function.__code__.co_code != before.co_code or function.__code__.co_consts != before.co_consts
        assert function.__code__.co_name == before.co_name
    finally:
        function.__code__ = before


@pytest.mark.parametrize(
    ("answer", "sales", "verdict"), [(0, 0, "survived"), (1, 0, "tests"), (0, 1, "sales"), (None, 0, "time")]
)
def test_it_is_told_who_notices_a_change(
    answer: int | None, sales: int, verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tests(_: list[str]) -> int:
        if answer is None:
            signal.pause()
        return answer or 0

    def fails(seed: int) -> None:
        raise AssertionError(seed)

    monkeypatch.setattr(trial, "_quietly", tests)
    monkeypatch.setattr(trial, "run", fails)
    assert trial.verdict(next(mutants_of(MODULE)), [], sales, 0.2 if answer is None else 60.0) == verdict


def test_this_process_is_not_changed_by_a_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    before, parent = raise_watermark.__code__, os.getpid()
    monkeypatch.setattr(trial, "_quietly", lambda _: int(os.getpid() == parent))
    assert trial.verdict(list(mutants_of(MODULE))[-1], [], 0, 60.0) == "survived"
    assert raise_watermark.__code__ is before
