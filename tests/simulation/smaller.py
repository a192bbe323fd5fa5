"""A seed that fails, made smaller: less goes wrong, fewer orders come, and it fails in the same way."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tests.simulation.worlds import Kind

BOUNDS = "bounds"
"""Leaves the bounds of single commands as the program has them."""

LEFT_OUT: Mapping[str, Any] = {
    "partitions": 1,
    "promotions": 1,
    "crash_rate": 0.0,
    "rush": 0.0,
    "loss_rate": 0.0,
    "stale_rate": 0.0,
    "slow_ms": 20,
    "away": (0, 0),
    "stalls": {},
    "ownerless": False,
    "deletions": False,
}
"""What a world is like without each of these."""

HABITS = ("repeats", "conflicts", "cancels", "early_cancels", "ends", "strangers", "revivals")
EVERYTHING = (BOUNDS, *LEFT_OUT, *HABITS)
"""All that can be left out, in the order in which it is tried."""

Run = Callable[..., Any]


def leave_out(kind: Kind, without: Collection[str]) -> Kind:
    """The same world without some of its troubles. Raises ValueError for a name that is none of them."""
    unknown = set(without) - set(EVERYTHING)
    if unknown:
        raise ValueError(f"{sorted(unknown)} cannot be left out; these can: {', '.join(EVERYTHING)}")
    habits = replace(kind.habits, **{name: 0.0 for name in HABITS if name in without})
    return replace(kind, habits=habits, **{name: LEFT_OUT[name] for name in LEFT_OUT if name in without})


@dataclass(frozen=True)
class Failure:
    """A run that fails: its seed, what was left out of its world, the orders that are needed for it."""

    seed: int
    without: tuple[str, ...]
    orders: tuple[int, ...]
    says: str

    def as_test(self) -> str:
        """The test that keeps it from failing again."""
        given = f"{self.seed}, without={self.without}, orders={self.orders}"
        return f"def test_the_sale_of_seed_{self.seed}_adds_up() -> None:\n    run({given})"


def shrink(run: Run, seed: int, orders: int) -> Failure:
    """Leave out what is not needed for the failure of a seed with so many orders.

    Raises ValueError where it does not fail.
    """
    found = _failure(run, seed, (), range(orders))
    if found is None:
        raise ValueError(f"seed {seed} does not fail")
    says = found
    without: tuple[str, ...] = ()
    for name in EVERYTHING:
        if _fails_alike(run, seed, (*without, name), range(orders), says):
            without = (*without, name)
    needed = _needed(lambda these: _fails_alike(run, seed, without, these, says), list(range(orders)))
    says = _failure(run, seed, without, needed) or says
    return Failure(seed, without, tuple(needed), says)


def _needed(fails: Callable[[Collection[int]], bool], these: list[int]) -> list[int]:
    """Some of these with which it still fails, none of which can be spared alone (delta debugging, ddmin)."""
    size = len(these)
    while size:
        for at in range(0, len(these), size):
            fewer = these[:at] + these[at + size :]
            if len(fewer) < len(these) and fails(fewer):
                these = fewer
                break
        else:
            size //= 2
        size = min(size, len(these))
    return these


def _fails_alike(run: Run, seed: int, without: Collection[str], orders: Collection[int], says: str) -> bool:
    found = _failure(run, seed, without, orders)
    return found is not None and _kind_of(found) == _kind_of(says)


def _failure(run: Run, seed: int, without: Collection[str], orders: Collection[int]) -> str | None:
    try:
        run(seed, without=without, orders=orders)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def _kind_of(says: str) -> str:
    """What failed: the invariant that is named first, or the beginning of another complaint."""
    return ":".join(says.split(":")[:2])[:60]
