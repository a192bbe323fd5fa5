"""Many simulated sales, and the bugs that they have to notice, on all processors."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.simulation import bugs as bugs_of_cores
from tests.simulation import noticed
from tests.simulation.planting import Bug, planted
from tests.simulation.simulation import run as run_cores
from tests.simulation.whole import bugs as bugs_of_whole
from tests.simulation.whole.sale import run as run_whole


@dataclass(frozen=True)
class Simulator:
    """What runs the sale of a seed, and the bugs that it has to notice with the seeds that are known to."""

    run: Callable[[int], Any]
    bugs: tuple[Bug, ...]
    noticed: Mapping[str, int]
    group: int
    """So many seeds are one piece of work."""


SIMULATORS = {
    "cores": Simulator(run_cores, bugs_of_cores.BUGS, noticed.NOTICED, 100),
    "whole": Simulator(run_whole, bugs_of_whole.BUGS, bugs_of_whole.NOTICED, 10),
}
"""The three cores alone, a hundred sales in some seconds; the whole system, about one sale a second."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A group of seeds: how many orders and lost transactions there were, and what was wrong by seed."""

    first: int
    count: int
    orders: int
    crashes: int
    seconds: float
    wrong: dict[int, str]


def simulate(name: str, first: int, count: int, processes: int | None = None) -> Iterator[Tried]:
    """Try `count` seeds from `first` on."""
    size = SIMULATORS[name].group
    groups = [(at, min(size, first + count - at)) for at in range(first, first + count, size)]
    with ProcessPoolExecutor(processes or os.cpu_count()) as pool:
        yield from pool.map(partial(_try_group, name), *zip(*groups, strict=True))


def _try_group(name: str, first: int, count: int) -> Tried:
    began = time.monotonic()
    orders = crashes = 0
    wrong: dict[int, str] = {}
    for seed in range(first, first + count):
        try:
            done = SIMULATORS[name].run(seed)
        except Exception as error:
            wrong[seed] = f"{type(error).__name__}: {error}"
        else:
            orders += len(done.report.sale.histories)
            crashes += done.crashes
    return Tried(first, count, orders, crashes, round(time.monotonic() - began, 1), wrong)


def plant(name: str, most: int, processes: int | None = None) -> Iterator[tuple[Bug, int | None, str]]:
    """Each bug, and the seed that noticed it (None: not one of `most`), with what it said."""
    bugs = SIMULATORS[name].bugs
    with ProcessPoolExecutor(processes or os.cpu_count()) as pool:
        found = pool.map(partial(first_to_notice, name, most=most), bugs)
        for bug, (seed, says) in zip(bugs, found, strict=True):
            yield bug, seed, says


def first_to_notice(name: str, bug: Bug, most: int) -> tuple[int | None, str]:
    """The seed that is known to notice a bug, or else the first one that does."""
    simulator = SIMULATORS[name]
    with planted(bug):
        for seed in (simulator.noticed.get(bug.name, 0), *range(most)):
            try:
                simulator.run(seed)
            except Exception as error:
                return seed, f"{type(error).__name__}: {error}"
    return None, ""
