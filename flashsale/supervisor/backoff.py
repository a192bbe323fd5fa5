"""How long to wait before the next start: longer each time, never in step with other workers."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

MIN_DELAY_S = 0.2
MAX_DELAY_S = 15.0
HEALTHY_S = 60.0
"""A process that lived this long was well: the next delay is a short one again."""


@dataclass(slots=True)
class Backoff:
    """Delays between 0.2 and 15 s, each up to twice the one before.

    `choose(low, high)` picks the jitter; the default is a uniform one.
    """

    choose: Callable[[float, float], float] = field(default=random.uniform)
    _upper_s: float = MIN_DELAY_S

    def delay_s(self, lived_s: float) -> float:
        """Seconds to wait after a process that lived for `lived_s`."""
        if lived_s >= HEALTHY_S:
            self._upper_s = MIN_DELAY_S
        self._upper_s = min(MAX_DELAY_S, self._upper_s * 2)
        return self.choose(self._upper_s / 2, self._upper_s)
