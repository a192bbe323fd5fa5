"""What kind of world a seed is: settings across their whole range, and what goes wrong in it.

Swarm testing: each seed switches whole classes of faults off, so that those that are left go deep. Sizes and
times are drawn on a logarithmic scale, so that a second is as likely as a week.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from schemas.topics import INPUTS
from streams.ledger.terms import Terms

NOON_MS = 1_800_000_000_000
SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS = 1_000, 60_000, 3_600_000, 86_400_000
SWITCHED_OFF = 0.25
USUAL = {
    "repeats": 0.1,
    "conflicts": 0.03,
    "cancels": 0.4,
    "early_cancels": 0.3,
    "ends": 0.5,
    "strangers": 0.1,
}
"""How often producers do what, in the seeds in which they do it at all."""
SHOP_BOOKS_WITHIN_MS = 5_000
"""The settle delay has to be longer: that is what it is for."""


@dataclass(frozen=True)
class Habits:
    """How often producers do what; 0 is never."""

    repeats: float
    conflicts: float
    cancels: float
    early_cancels: float
    ends: float
    strangers: float
    """Orders with a SKU that the promotion does not have."""
    revivals: float
    """Orders about which somebody asks again when they are forgotten, or are about to be."""


@dataclass(frozen=True)
class Kind:
    """A world as it was drawn."""

    partitions: int
    promotions: int
    terms: Terms
    lasts_ms: int
    """How long a promotion lasts, roughly."""
    orders: int
    habits: Habits
    crash_rate: float
    rush: float
    """The share of orders that come with the start, as they do in a flash sale."""
    loss_rate: float
    stale_rate: float
    """The share of Fluent's answers that come once more, later."""
    slow_ms: int
    """How long a call to Fluent takes at most."""
    away: tuple[int, int]
    """From when to when nothing gets through to Fluent."""
    stalls: dict[str, tuple[int, int]]
    """From when to when nobody reads an input topic."""
    ownerless: bool
    """Tasks are without an owner for a while."""
    deletions: bool = True
    """Input is deleted before it is read; in sales of the whole system, if their seed has it."""


def chance(seed: int, of: str) -> random.Random:
    """A chance of its own for a part of a world: whatever else is left out, this part stays as it is."""
    return random.Random(f"{seed} {of}")


def draw(rng: random.Random) -> Kind:
    """The world of a seed."""
    lasts_ms = rng.choice(
        [rng.randint(20 * SECOND_MS, 150 * SECOND_MS), log(rng, 20 * SECOND_MS, 3 * DAY_MS)]
    )
    terms = _terms(rng, lasts_ms)
    away_ms = NOON_MS + rng.randint(0, lasts_ms)
    gone_ms = rng.choice([0, 0, 15 * SECOND_MS, 90 * SECOND_MS, log(rng, 1, 20 * MINUTE_MS)])
    stalled = [topic for topic in INPUTS if rng.random() < 0.3] if _on(rng) else []
    return Kind(
        partitions=rng.choice([1, 2, 2, 3, 4, 4, 8, 16]),
        promotions=rng.randint(1, 3),
        terms=terms,
        lasts_ms=lasts_ms,
        orders=log(rng, 5, 250),
        habits=_habits(rng),
        crash_rate=rng.choice([0.0, 0.02, 0.2]),
        rush=rng.choice([0.0, 0.2, 0.8]),
        loss_rate=rng.choice([0.0, 0.05, 0.3]),
        stale_rate=rng.choice([0.0, 0.1, 0.5]),
        slow_ms=rng.choice([800, 800, 30 * SECOND_MS]),
        away=(away_ms, away_ms + gone_ms),
        stalls={topic: _stall(rng, lasts_ms) for topic in stalled},
        ownerless=_on(rng),
    )


def log(rng: random.Random, least: int, most: int) -> int:
    """A number between two, each order of magnitude as likely as the next."""
    return round(math.exp(rng.uniform(math.log(least), math.log(most))))


def backlog_ms(rng: random.Random) -> int:
    """From a moment to twenty minutes; as often as not more than one."""
    return rng.choice([log(rng, 10, 1_000_000), log(rng, MINUTE_MS, 20 * MINUTE_MS)])


def _on(rng: random.Random) -> bool:
    return rng.random() >= SWITCHED_OFF


def _habits(rng: random.Random) -> Habits:
    rates = {habit: rate * _on(rng) for habit, rate in USUAL.items()}
    revivals = 0.2 * (rng.random() < 0.25)  # of such orders less is certain, so most seeds have none
    return Habits(**rates, revivals=revivals)


def _stall(rng: random.Random, lasts_ms: int) -> tuple[int, int]:
    from_ms = NOON_MS + rng.randint(0, lasts_ms)
    return from_ms, from_ms + backlog_ms(rng)


def _terms(rng: random.Random, lasts_ms: int) -> Terms:
    """The report interval grows with the sale, or a sale of days would be nothing but reports."""
    report_ms = max(rng.choice([5 * SECOND_MS, MINUTE_MS]), lasts_ms // 100)
    long_ms = max(HOUR_MS, 4 * lasts_ms)
    return Terms(
        claim_grace_ms=rng.choice([0, 5 * SECOND_MS, log(rng, 1, MINUTE_MS)]),
        expiry_grace_ms=rng.choice([0, 2 * SECOND_MS, log(rng, 1, MINUTE_MS)]),
        hold_timeout_ms=rng.choice([5 * SECOND_MS, MINUTE_MS]),
        close_timeout_ms=rng.choice([SECOND_MS, MINUTE_MS]),
        retention_ms=rng.choice([long_ms, log(rng, MINUTE_MS, 21 * DAY_MS)]),
        report_interval_ms=report_ms,
        settle_delay_ms=log(rng, 6 * SHOP_BOOKS_WITHIN_MS, 10 * MINUTE_MS),
        settle_interval_ms=rng.choice([SECOND_MS, 5 * SECOND_MS]),
        verify_ms=rng.choice([20 * SECOND_MS, MINUTE_MS]),
        ask_again_ms=rng.choice([3 * SECOND_MS, 10 * SECOND_MS]),
        auto_release=rng.random() < 0.8,
        all_or_nothing=rng.random() < 0.5,
        book_sale=rng.random() < 0.5,
        max_backlog_ms=rng.choice([MINUTE_MS, 10 * MINUTE_MS]),
    )
