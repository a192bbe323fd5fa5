"""Trying a change in a fork of this process: the tests that run the changed function, then simulated sales.

pytest collects the tests of a room once. Each runs once without any change, to learn how long it takes and
which functions it runs. A change is then shown to the tests that run its function: those first that are quick
or have noticed many others.
"""

from __future__ import annotations

import json
import mmap
import os
import resource
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import Phase, settings

from tests.proof.mutants.mutate import Mutant, function_of, plant

FAST = (
    *("-q", "-m", "not kafka and not slow", "-p", "no:cacheprovider", "-p", "no:randomly"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)
SURVIVED, BY_TESTS, BY_SALES, NOT_MADE = range(4)
VERDICTS = {SURVIVED: "survived", BY_TESTS: "tests", BY_SALES: "sales", NOT_MADE: "not made"}
SPARE_S, TIMES = 5, 3
"""A change may take so many times as long as the tests do without it, and so many seconds more."""

SALES_S = 60
LEARNS_S = 600
"""What a test may take without any change, under a profiler."""

SPARE_BYTES = 2 << 30
"""A change may take so much more memory than there was before it: some lists never end."""

NO_SHRINKING = "mutants"
"""The Hypothesis profile that is content with the first example that fails: ten times as fast."""

ROOT = str(Path(__file__).parents[3])

PHASES = (Phase.explicit, Phase.generate)

Runs = Callable[[], None]
"""A test or a sale: raises when it fails."""

Function = tuple[str, str, int]
"""File, qualified name and first line."""


@dataclass
class Known:
    """A test that passes without any change: its seconds of a processor, and the functions that it runs."""

    run: Runs
    seconds: float
    functions: frozenset[Function]
    noticed: int = 0
    """So many changes up to now."""


@dataclass
class Suite:
    """The tests of a room as they were collected, and the sales that are to notice what no test does."""

    sales: list[Runs]
    known: list[Known] = field(default_factory=list)

    def verdict(self, mutant: Mutant, within_s: float) -> str:
        """Who notices a change: tests, sales, time, or nobody."""
        try:
            function = named(function_of(mutant).__code__)
        except TypeError:
            return VERDICTS[NOT_MADE]
        tests = sorted((each for each in self.known if function in each.functions), key=_cost)
        running = mmap.mmap(-1, 8)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # no thread of ours is needed in the child
            child = os.fork()
        if not child:
            os._exit(_try(mutant, tests, self.sales, running))
        verdict = _awaited(child, within_s)
        if verdict == VERDICTS[BY_TESTS]:
            tests[int.from_bytes(running[:], "big")].noticed += 1
        return verdict


def _cost(known: Known) -> float:
    return known.seconds / (1 + known.noticed)


def _awaited(child: int, within_s: float) -> str:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return "time" if code == -signal.SIGXCPU else VERDICTS.get(code, "crash")
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "time"


def _try(mutant: Mutant, tests: Collection[Known], sales: Collection[Runs], running: mmap.mmap) -> int:
    """In the child. The parent learns from `running` which test has noticed the change."""
    os.setpgrp()
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    try:
        plant(mutant)
    except Exception:
        return NOT_MADE
    try:
        resource.setrlimit(resource.RLIMIT_AS, (_mapped() + SPARE_BYTES, resource.RLIM_INFINITY))
        _at_most(SPARE_S + TIMES * sum(test.seconds for test in tests))
        for number, test in enumerate(tests):
            running[:] = number.to_bytes(8, "big")
            test.run()
    except BaseException:
        return BY_TESTS
    try:
        _at_most(SALES_S)
        for sale in sales:
            sale()
    except BaseException:
        return BY_SALES
    return SURVIVED


def _at_most(seconds: float) -> None:
    """Seconds of a processor, so that it does not matter what else the machine does."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    resource.setrlimit(
        resource.RLIMIT_CPU,
        (round(used.ru_utime + used.ru_stime + seconds) + 1, resource.RLIM_INFINITY),
    )


def _mapped() -> int:
    """Bytes of this process's address space."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def in_room(tests: Collection[str], sales: list[Runs], then: Callable[[Suite], None]) -> None:
    """Collect the tests, learn of each, and go on in this process. Raises RuntimeError where one fails."""
    learns = _Learns(Suite(sales), then)
    code = pytest.main([*FAST, *tests], plugins=[learns])
    if learns.failed or not learns.suite.known:
        raise RuntimeError(f"{' '.join(tests)}: {learns.failed or f'pytest says {code}'}")


class _Learns:
    """In place of pytest's own loop over the tests."""

    def __init__(self, suite: Suite, then: Callable[[Suite], None]) -> None:
        self.suite = suite
        self.failed = ""
        self._then = then

    def pytest_configure(self) -> None:
        """See pytest. The tests are not imported yet."""
        settings.register_profile(NO_SHRINKING, settings(), phases=PHASES, database=None)
        settings.load_profile(NO_SHRINKING)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """See pytest. What it collected is known once each test has passed."""
        for item in session.items:
            try:
                self.suite.known.append(_learnt(partial(_run, item)))
            except AssertionError as error:
                self.failed = str(error)
                return True
        self._then(self.suite)
        return True


def _run(item: pytest.Item) -> None:
    for report in runtestprotocol(item, log=False):
        assert not report.failed, f"{item.nodeid}: {report.longreprtext}"


def _learnt(run: Runs) -> Known:
    """In a fork: what threads a test leaves behind (those of RocksDB), later forks would miss.

    So would this one, where such a test has run in this process before; it is given up after LEARNS_S.
    """
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(LEARNS_S)
        try:
            with os.fdopen(writes, "w") as told:
                json.dump(_profiled(run), told)
        finally:
            os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as told:
        said = told.read()
    os.waitpid(child, 0)
    assert said, f"a test without any change did not end within {LEARNS_S} s, or ended its process"
    failure, seconds, functions = json.loads(said)
    assert not failure, failure
    return Known(run, seconds, frozenset(map(tuple, functions)))


def _profiled(run: Runs) -> tuple[str, float, list[Function]]:
    functions: dict[int, CodeType] = {}
    failure = ""

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            functions[id(frame.f_code)] = frame.f_code

    began = time.process_time()
    threading.setprofile(note)
    sys.setprofile(note)
    try:
        run()
    except AssertionError as error:
        failure = str(error)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    seconds = time.process_time() - began
    return failure, seconds, [named(each) for each in list(functions.values()) if _is_ours(each)]


def named(code: CodeType) -> Function:
    """Which function it is the code of."""
    return code.co_filename, code.co_qualname, code.co_firstlineno


def _is_ours(code: CodeType) -> bool:
    return code.co_filename.startswith(ROOT)
