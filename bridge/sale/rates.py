"""How many orders a promotion answers as time goes by, and why it turned some away.

A chart has a bounded number of columns whatever the sale's length: when a bucket more than that is needed,
each two become one of twice the width.
"""

from __future__ import annotations

from collections import Counter, deque

SERVED = ""
"""In place of a reason: the order got everything that it asked for."""

MOST_BUCKETS = 240
SPEED_TICKS = 5
"""The current speed is an average over so many ticks, which are a second apart."""

Bucket = tuple[int, dict[str, int]]
"""Its beginning in Unix seconds, and how many orders it has by reason."""


class Rates:
    """Answers to orders, repeats included, by the second in which they were published."""

    def __init__(self) -> None:
        self.width_s = 1
        self.totals: Counter[str] = Counter()
        self.per_second = 0.0
        self._buckets: dict[int, Counter[str]] = {}
        self._first = self._last = 0
        self._changed: set[int] = set()
        self._whole = True
        self._new = 0
        self._ticks: deque[int] = deque(maxlen=SPEED_TICKS)

    def count(self, at_ms: int, reason: str, *, is_new: bool) -> None:
        """One order, answered at `at_ms`; `is_new`: just now, not read from the past."""
        self.totals[reason] += 1
        self._new += is_new
        place = self._place(at_ms // 1_000)
        self._buckets.setdefault(place, Counter())[reason] += 1
        self._changed.add(place)

    def tick(self) -> bool:
        """A second is over; returns whether the current speed is another one."""
        self._ticks.append(self._new)
        self._new = 0
        before, self.per_second = self.per_second, sum(self._ticks) / len(self._ticks)
        return before != self.per_second

    @property
    def has_changes(self) -> bool:
        """Whether anything was counted since `changes` was called last."""
        return bool(self._changed)

    def buckets(self) -> list[Bucket]:
        """All of them, in order of time."""
        return [self._bucket(place) for place in sorted(self._buckets)]

    def changes(self) -> tuple[bool, list[Bucket]]:
        """Whether these are all there are, as at first and with another width; and those that changed."""
        whole = self._whole
        found = self.buckets() if whole else [self._bucket(place) for place in sorted(self._changed)]
        self._changed.clear()
        self._whole = False
        return whole, found

    def _place(self, second: int) -> int:
        place = second // self.width_s
        if not self._buckets:
            self._first = self._last = place
        while max(self._last, place) - min(self._first, place) >= MOST_BUCKETS:
            self._widen()
            place = second // self.width_s
        self._first, self._last = min(self._first, place), max(self._last, place)
        return place

    def _widen(self) -> None:
        before, self._buckets = self._buckets, {}
        for place, counted in before.items():
            self._buckets.setdefault(place // 2, Counter()).update(counted)
        self.width_s *= 2
        self._first, self._last = self._first // 2, self._last // 2
        self._changed.clear()
        self._whole = True

    def _bucket(self, place: int) -> Bucket:
        return place * self.width_s, dict(self._buckets[place])
