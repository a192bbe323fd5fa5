"""Full-jitter back-off: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/."""

from __future__ import annotations

import random


def full_jitter_s(attempt: int, *, base_s: float, cap_s: float, at_most_s: float = 0.0) -> float:
    """How long to wait before try `attempt` + 1 (the first try is 0), in seconds.

    `at_most_s` is what the other side asked for; it takes the place of the exponential step.
    """
    step = at_most_s or base_s * 2.0 ** min(attempt, 30)
    return random.uniform(0, min(cap_s, step))
