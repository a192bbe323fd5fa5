"""What an auditor notes of each reservation: what the records so far say."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

Subject = tuple[str, str]


@dataclass
class Taken:
    """Units that an order still holds, since when, and when that was committed."""

    units: int
    at_ms: int
    out_at_ms: int | None = None


@dataclass
class Decision:
    """What was decided first about an order's claim, and what was given back of it since."""

    quantity: int
    reason: str
    cancelled: int = 0
    compensated: bool = False

    def now(self) -> tuple[int, str, int]:
        """Quantity, reason and cancelled units, as a repeat must be told them."""
        return self.quantity, "INCOMPLETE_ORDER" if self.compensated else self.reason, self.cancelled


@dataclass
class Account:
    """What the records so far say about one reservation."""

    reserved: int = 0
    answered: bytes = b""
    decided: dict[str, Decision] = field(default_factory=dict)
    arrivals: list[str] = field(default_factory=list)
    """Orders that were claimed and not decided, in order of arrival."""
    taken: dict[str, Taken] = field(default_factory=dict)
    ends: int = 0
    state: str = ""
    version: int = 0
    number: int = 0
    requests: dict[int, bytes] = field(default_factory=dict)
    told: int = 0
    """Consumed units as Fluent confirmed them last: the hold is smaller by them."""
    telling: int = 0
    """Consumed units that Fluent was told last, and may have been."""
    given_back: int = 0
    """Units that were given back since then."""
    compensations: set[str] = field(default_factory=set)
    """Orders whose next LineCancelled answers a compensation."""
    owed: Counter[tuple[str, int]] = field(default_factory=Counter)
    """(topic, offset) of the events that the ledger itself must answer."""
    recalls: Counter[str] = field(default_factory=Counter)
    """Orders that were recalled and not told about yet."""
    expires_at_ms: int | None = None
    ended_at_ms: int | None = None
    belied: bool = False
    """Its Reserve or its End came although the watermark had said that nothing of their time was to come, or
    its End came before its Reserve, which no stage does: it is decided somehow, and then that stands."""
    placed_at_ms: dict[str, int] = field(default_factory=dict)
    """Of the orders' first claims."""
    unforeseen: set[str] = field(default_factory=set)
    """Orders that came although the watermark had said that nothing of their time was to come any more."""
    published: dict[str, Any] = field(default_factory=dict)
    """The newest record of its figures, without its time."""
    published_at_ms: int = 0

    def deadline_ms(self) -> int:
        """What is placed later is too late."""
        known = [at_ms for at_ms in (self.expires_at_ms, self.ended_at_ms) if at_ms is not None]
        return min(known, default=2**62)

    def let_go(self) -> int:
        """Units by which the hold may be smaller than what was reserved."""
        return max(self.told, self.telling)

    def unheld(self) -> int:
        """Units that were given back and may not be held: no more than that are kept from who comes next."""
        return self.let_go() - self.telling + self.given_back if self.let_go() else 0

    def held(self) -> int:
        """Units that orders hold."""
        return sum(taken.units for taken in self.taken.values())
