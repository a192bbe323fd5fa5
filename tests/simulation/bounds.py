"""Bounds of single commands, drawn small: a Continue for thousands of claims is one for three, too."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType

from streams.ledger import rows
from streams.ledger.orders import ticks as order_ticks
from streams.ledger.promotions import publishing, reports
from streams.ledger.reservations import forgetting, queue, ticks

Bound = tuple[ModuleType, str]

ALL: tuple[tuple[Bound, ...], ...] = (
    ((queue, "MAX_CLAIMS"),),
    ((queue, "MAX_CONTINUES"),),
    ((ticks, "MAX_DUE"),),
    ((forgetting, "MAX_FORGOTTEN"),),
    ((order_ticks, "MAX_DUE"),),
    ((publishing, "PAGE_LINES"), (reports, "PAGE_LINES")),
    ((rows, "MAX_HOT_ROWS"),),
)
"""Those in a row are one bound under two names."""


def draw_bounds(rng: random.Random) -> dict[Bound, int]:
    """For half of the seeds as they are, for the others some of them are small."""
    if rng.random() < 0.5:
        return {}
    drawn = {bounds: rng.randint(1, 8) for bounds in ALL if rng.random() < 0.5}
    return {bound: value for bounds, value in drawn.items() for bound in bounds}


@contextmanager
def bounded(bounds: Mapping[Bound, int]) -> Iterator[None]:
    """The program with these bounds."""
    known = {(module, name): getattr(module, name) for module, name in bounds}
    try:
        for (module, name), value in bounds.items():
            setattr(module, name, value)
        yield
    finally:
        for (module, name), value in known.items():
            setattr(module, name, value)
