"""The list of what no test notices: changes are made where they are said to be, and who notices is told."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from streams.engine.store import RocksStore
from streams.ledger.rows import MemoryStore, Rows
from streams.ledger.watermark import raise_watermark, watermark_ms
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
    function = mutate.function_of(mutant)
    before = function.__code__
    try:
        plant(mutant)
        assert function.__code__.co_code != before.co_code or function.__code__.co_consts != before.co_consts
        assert function.__code__.co_name == before.co_name
    finally:
        function.__code__ = before


def test_what_may_be_left_out_is_changed_as_well() -> None:
    """Seen: a default is no part of a function's code, so the change was not made and nothing noticed it."""
    mutants = [each for each in mutants_of(__name__) if each.function == "Answer.of"]
    before = Answer.of.__defaults__, Answer.of.__kwdefaults__
    found = []
    for mutant in mutants:
        plant(mutant)
        found.append(Answer().of())
        Answer.of.__defaults__, Answer.of.__kwdefaults__ = before
    assert sorted(found) == [(MODULE, 1, 1), (MODULE, 2, 0)]


class Answer:
    """What the test above changes."""

    def of(self, module: str = MODULE, units: int = 1, *, told: int = 0) -> tuple[str, int, int]:
        """What was given."""
        return module, units, told


def passes() -> None:
    raise_watermark(Rows(MemoryStore()), "a log", 7, 9)


def fails() -> None:
    rows = Rows(MemoryStore())
    raise_watermark(rows, "a log", 7, 9)
    assert watermark_ms(rows, "a log") == 7


def hangs() -> None:
    signal.pause()


def grows() -> None:
    assert bytearray(2 * trial.SPARE_BYTES)


MUTANT = next(
    each
    for each in mutants_of(MODULE)
    if (each.function, each.how) == ("raise_watermark", "the condition is False")
)


@pytest.mark.parametrize(
    ("tests", "sale", "verdict"),
    [
        ([passes], passes, "survived"),
        ([passes, fails], passes, "tests"),
        ([grows], passes, "tests"),
        ([passes], fails, "sales"),
        ([hangs], passes, "time"),
    ],
)
def test_it_is_told_who_notices_a_change(
    tests: list[Callable[[], None]], sale: Callable[[], None], verdict: str
) -> None:
    touched = frozenset({trial.named(raise_watermark.__code__)})
    suite = trial.Suite([sale], [trial.Known(test, 0.0, touched) for test in tests])
    assert suite.verdict(MUTANT, 0.2 if verdict == "time" else 60.0) == verdict


def test_a_change_is_shown_only_to_tests_that_run_its_function() -> None:
    suite = trial.Suite([], [trial.Known(fails, 0.0, frozenset())])
    assert suite.verdict(MUTANT, 60.0) == "survived"


def test_a_change_is_first_shown_to_tests_that_have_noticed_others() -> None:
    touched = frozenset({trial.named(raise_watermark.__code__)})
    quick, notices, slow = (trial.Known(run, 1.0, touched) for run in (passes, fails, fails))
    suite = trial.Suite([], [quick, notices, slow])
    assert suite.verdict(MUTANT, 60.0) == suite.verdict(MUTANT, 60.0) == "tests"
    assert [test.noticed for test in suite.known] == [0, 2, 0]
    assert min(suite.known, key=trial._cost) is notices


def test_it_is_learnt_which_functions_a_test_runs() -> None:
    known, other = trial._learnt(passes), trial._learnt(lambda: None)
    assert {trial.named(each.__code__) for each in (passes, raise_watermark)} <= known.functions
    assert trial.named(watermark_ms.__code__) not in other.functions


def test_a_test_that_fails_without_any_change_is_told() -> None:
    def fails() -> None:
        raise AssertionError("as it should")

    with pytest.raises(AssertionError, match="as it should"):
        trial._learnt(fails)


def threads_are_not_missed(directory: str) -> None:
    """Seen: a test that opened RocksDB waited for ever in each fork, because its threads were not there."""

    def opens() -> None:
        store = RocksStore(Path(directory) / str(os.getpid()))
        store.write({b"k": b"v"})
        store.close()

    known = trial._learnt(opens)
    suite = trial.Suite(
        [], [trial.Known(known.run, known.seconds, known.functions | trial._learnt(passes).functions)]
    )
    assert suite.verdict(MUTANT, 20.0) == "survived"


def test_threads_that_a_test_has_left_behind_are_not_missed_by_the_next(tmp_path: Path) -> None:
    """In a process in which no other test has opened RocksDB yet, as the tool's is."""
    call = f"from {__name__} import *; threads_are_not_missed({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", call], cwd=trial.ROOT, timeout=120, check=True)


def test_a_test_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "LEARNS_S", 1)
    with pytest.raises(AssertionError, match="did not end within 1 s"):
        trial._learnt(hangs)


def test_this_process_is_not_changed_by_a_trial() -> None:
    before = raise_watermark.__code__
    assert trial.Suite([fails]).verdict(MUTANT, 60.0) == "sales"
    assert raise_watermark.__code__ is before
    passes()
