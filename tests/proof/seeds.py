"""Many simulated sales, and the bugs that they have to notice, on all processors."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

from tests.simulation.bugs import BUGS, NOTICED
from tests.simulation.planting import Bug, planted
from tests.simulation.simulation import run

GROUP = 100


@dataclass(frozen=True, slots=True)
class Tried:
    """A group of seeds: how many orders and crashes there were, and what was wrong by seed."""

    first: int
    count: int
    orders: int
    crashes: int
    seconds: float
    wrong: dict[int, str]


def simulate(first: int, count: int, processes: int | None = None) -> Iterator[Tried]:
    """Try `count` seeds from `first` on."""
    groups = [(at, min(GROUP, first + count - at)) for at in range(first, first + count, GROUP)]
    with ProcessPoolExecutor(processes or os.cpu_count()) as pool:
        yield from pool.map(_try_group, *zip(*groups, strict=True))


def _try_group(first: int, count: int) -> Tried:
    began = time.monotonic()
    orders = crashes = 0
    wrong: dict[int, str] = {}
    for seed in range(first, first + count):
        try:
            done = run(seed)
        except Exception as error:
            wrong[seed] = f"{type(error).__name__}: {error}"
        else:
            orders += len(done.report.sale.histories)
            crashes += done.crashes
    return Tried(first, count, orders, crashes, round(time.monotonic() - began, 1), wrong)


def plant(most: int, processes: int | None = None) -> Iterator[tuple[Bug, int | None, str]]:
    """Each bug, and the seed that noticed it (None: not one of `most`), with what it said."""
    with ProcessPoolExecutor(processes or os.cpu_count()) as pool:
        for bug, (seed, says) in zip(BUGS, pool.map(partial(first_to_notice, most=most), BUGS), strict=True):
            yield bug, seed, says


def first_to_notice(bug: Bug, most: int) -> tuple[int | None, str]:
    """The seed that is known to notice a bug, or else the first one that does."""
    with planted(bug):
        for seed in (NOTICED.get(bug.name, 0), *range(most)):
            try:
                run(seed)
            except Exception as error:
                return seed, f"{type(error).__name__}: {error}"
    return None, ""
