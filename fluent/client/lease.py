"""The lease: whether this worker may still write, checked right before each write to Fluent.

Kafka's fence does not reach HTTP, so a worker that has lost its partitions could still write what its
successor has already undone. Therefore no write is sent unless the worker's lease (its last contact with the
broker plus the session time-out) outlives the call's time-out: until then the broker gives its partitions to
nobody else.
"""

from __future__ import annotations

from collections.abc import Callable

from fluent.client.documents import Operation
from fluent.errors import LeaseTooShort

FOREVER = float("inf")


def no_lease_needed() -> float:
    """For a process that owns what it writes, or writes nothing."""
    return FOREVER


class LeaseCheck:
    """`expires_at()` and `clock()` are monotonic seconds; `call_timeout_s` is how long a write may take."""

    def __init__(
        self, expires_at: Callable[[], float], clock: Callable[[], float], call_timeout_s: float
    ) -> None:
        self._expires_at = expires_at
        self._clock = clock
        self._call_timeout_s = call_timeout_s

    def check(self, operation: Operation) -> None:
        """Raises LeaseTooShort for a write that might land after the lease is over, and for any call once it
        is: a worker that gives partitions away waits for the call under way, not for those that follow.

        To be called right before the send, so that nothing that takes time lies in between.
        """
        left_s = self._expires_at() - self._clock()
        if left_s <= (self._call_timeout_s if operation.is_write else 0.0):
            raise LeaseTooShort(f"our lease lasts {left_s:.1f} s, the call may take {self._call_timeout_s} s")
