"""Trying a change: the tests of its room in a fork of this process, and simulated sales if they pass."""

from __future__ import annotations

import os
import signal
import time
import warnings
from collections.abc import Collection

import pytest

from tests.proof.mutants.mutate import Mutant, plant
from tests.simulation.simulation import run

FAST = ("-q", "-x", "-m", "not kafka and not slow", "-p", "no:cacheprovider", "-p", "no:randomly")
SURVIVED, BY_TESTS, BY_SALES, NOT_MADE = range(4)
VERDICTS = {SURVIVED: "survived", BY_TESTS: "tests", BY_SALES: "sales", NOT_MADE: "not made"}


def collect(tests: Collection[str]) -> None:
    """Import what all trials need, once. Raises RuntimeError where it cannot be collected."""
    if _quietly(["--collect-only", *FAST, *tests]) != 0:
        raise RuntimeError(f"{' '.join(tests)} cannot be collected")


def verdict(mutant: Mutant | None, tests: Collection[str], sales: int, within_s: float) -> str:
    """Who notices a change (None: none is made, and nobody should): tests, sales, time, or nobody."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # no thread of ours is needed in the child
        child = os.fork()
    if not child:
        os._exit(_try(mutant, tests, sales))
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return VERDICTS.get(os.waitstatus_to_exitcode(status), "crash")
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "time"


def _try(mutant: Mutant | None, tests: Collection[str], sales: int) -> int:
    os.setpgrp()
    try:
        if mutant is not None:
            plant(mutant)
    except Exception:
        return NOT_MADE
    if _quietly([*FAST, *tests]) != 0:
        return BY_TESTS
    try:
        for seed in range(sales):
            run(seed)
    except BaseException:
        return BY_SALES
    return SURVIVED


def _quietly(arguments: list[str]) -> int:
    """pytest in this process, its output thrown away."""
    kept = os.dup(1), os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    try:
        return int(pytest.main(arguments))
    finally:
        os.dup2(kept[0], 1)
        os.dup2(kept[1], 2)
        for each in (*kept, nothing):
            os.close(each)
