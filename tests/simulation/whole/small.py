"""A small sale of a world: short, with few orders."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from msgspec import structs

from tests.simulation.worlds import MINUTE_MS, NOON_MS, SECOND_MS, SHOP_BOOKS_WITHIN_MS, Kind


def small(kind: Kind, rng: Random) -> Kind:
    """A short sale with few orders: real engines look at their tasks four times a second."""
    lasts_ms = rng.randint(10 * SECOND_MS, 90 * SECOND_MS)
    terms = kind.terms
    settle_delay_ms = rng.choice([min(terms.settle_delay_ms, MINUTE_MS), 3 * SHOP_BOOKS_WITHIN_MS])
    away_ms = NOON_MS + rng.randint(0, lasts_ms)
    stalls = {topic: (NOON_MS + rng.randint(0, lasts_ms), to_ms - from_ms)
              for topic, (from_ms, to_ms) in kind.stalls.items()}  # fmt: skip
    return replace(
        kind,
        partitions=min(kind.partitions, 4),
        orders=min(kind.orders, 80),
        lasts_ms=lasts_ms,
        stalls={
            topic: (from_ms, from_ms + min(for_ms, MINUTE_MS)) for topic, (from_ms, for_ms) in stalls.items()
        },
        away=(away_ms, away_ms + min(30 * SECOND_MS, kind.away[1] - kind.away[0])),
        terms=structs.replace(terms, settle_delay_ms=settle_delay_ms, report_interval_ms=5 * SECOND_MS),
        habits=replace(kind.habits, revivals=0.0),
    )
