"""The whole path, from order-placed to order-outcomes: what has piled up, decided by one worker.

From the worker's `ready` to the moment at which the broker took the last outcome.
"""

from __future__ import annotations

from functools import partial

from benchmarks.result import Arena, Result
from benchmarks.subject import TODAY, Subject
from benchmarks.trial import Measure, Trial

ORDERS = 100_000
BASKETS, LINES = 50_000, 3
SKUS = 1_000
PARTITIONS = 4


def _measure(
    arena: Arena, subject: Subject, *, name: str, orders: int, lines: int, aim: str, keyed_by_ref: bool = True
) -> list[Result]:
    """Orders a second, in baskets of `lines` lines."""
    with Trial(arena, subject, PARTITIONS, SKUS) as trial:
        trial.place(orders, lines, keyed_by_ref=keyed_by_ref)
        began = trial.start_worker()
        cpu = trial.cpu_s()
        seconds = trial.wait_decided(orders) - began
        used = f"{(trial.cpu_s() - cpu) / orders * 1e6:.0f} µs CPU an order, RSS {trial.rss_mb():.0f} MB"
    share = f", {orders * lines / seconds:,.0f} lines/s" if lines > 1 else ""
    return [Result(f"whole path, {name}", orders / seconds, "/s", aim, used + share)]


FIGURES: tuple[Measure, ...] = (
    partial(_measure, name="single lines, keyed by ref", orders=ORDERS, lines=1, aim="2.5 x former"),
    partial(
        _measure,
        name="single lines, another key",
        orders=ORDERS,
        lines=1,
        aim="1.5 x former",
        keyed_by_ref=False,
    ),
    partial(_measure, name="baskets of three lines", orders=BASKETS, lines=LINES, aim="1.4 x former"),
)


def warm_up(arena: Arena) -> None:
    """Let the broker's compilers see the work before anything is measured."""
    _measure(arena, TODAY, name="warm-up", orders=ORDERS // 2, lines=1, aim="")
