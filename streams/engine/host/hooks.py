"""What the host knows of the worker around it: one object, passed in when the Faust app is made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from streams.engine.engine import Engine


class Lease:
    """How long the broker gives this worker's partitions to nobody else: one session from each heartbeat.

    The consumer's thread renews it; whoever is about to call Fluent asks for its end. While the engine is
    suspended there is none, because a rebalance may give the partitions to somebody else at once.
    """

    def __init__(self, engine: Engine, session_s: float) -> None:
        self._engine = engine
        self._session_s = session_s
        self._began_at = 0.0

    def renewed(self, sent_at: float) -> None:
        """The broker accepted a heartbeat that was sent at `sent_at` (monotonic seconds)."""
        self._began_at = sent_at

    def expires_at(self) -> float:
        """Monotonic time at which it ends, 0 where there is none."""
        return 0.0 if self._engine.generation is None else self._began_at + self._session_s


@dataclass(frozen=True, slots=True)
class Hooks:
    """The worker's side of its Faust app."""

    die: Callable[[str], None]
    """Ends the process at once and says why: it may finish nothing any more."""
    lease: Lease
    partitions: Mapping[str, int]
    """Declared partition counts of our own topics, by wire name."""
    request_offset: Callable[[str, int], int | None]
    """Next offset of a topic that no task decides (Fluent requests): below it everything is answered."""
    suspend_requests: Callable[[], Awaitable[None]]
    """Lets Fluent requests in flight end; called when the engine is suspended and no lease is left."""
    on_opened: Callable[[], None]
    """Called when all tasks are open and Faust has resumed."""
    on_stopped: Callable[[], Awaitable[None]]
    """Called when Faust has stopped."""
