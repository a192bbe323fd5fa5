"""What the host knows of the worker around it: one object, passed in when the Faust app is made."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest

from streams.engine.engine import Engine


class Lease:
    """How long the broker gives this worker's partitions to nobody else.

    It is one session from the moment at which a heartbeat was sent that the broker then accepted, or the
    SyncGroup request by which the partitions came. A heartbeat that is answered with RebalanceInProgress does
    not renew it, although aiokafka counts that as accepted, and a fetch says nothing: it may come from a
    buffer. While the engine is suspended there is no lease: a rebalance may give the partitions away at once.
    """

    def __init__(self, engine: Engine, session_s: float) -> None:
        self._engine = engine
        self._session_s = session_s
        self._began_at = 0.0
        self.heard_at = 0.0
        """Monotonic time of the coordinator's last answer, whatever it said."""

    def watch(self, coordinator: Any) -> None:
        """Hear every answer that aiokafka's group coordinator gets; in the consumer's thread."""
        send = coordinator._send_req

        async def send_and_hear(request: Any) -> Any:
            sent_at = time.monotonic()
            response = await send(request)
            self.heard_at = time.monotonic()
            if isinstance(request, HeartbeatRequest | SyncGroupRequest) and not response.error_code:
                self._began_at = sent_at
            return response

        coordinator._send_req = send_and_hear

    @property
    def granted(self) -> bool:
        """Whether this worker is a member that has its partitions, and so sends heartbeats."""
        return self._engine.generation is not None

    @property
    def left_s(self) -> float:
        """Seconds until it ends, negative when it has."""
        return self.expires_at() - time.monotonic()

    def expires_at(self) -> float:
        """Monotonic time at which it ends, 0 where there is none."""
        return self._began_at + self._session_s if self.granted else 0.0


@dataclass(frozen=True, slots=True)
class Hooks:
    """The worker's side of its Faust app."""

    die: Callable[[str], None]
    """Ends the process at once and says why: it may finish nothing any more."""
    stop: Callable[[str], None]
    """The same for good: another process would do no better."""
    lease: Lease
    partitions: Mapping[str, int]
    """Declared partition counts of our own topics, by wire name."""
    request_offset: Callable[[str, int], int | None]
    """Next offset of a topic that no task decides (Fluent requests): below it everything is answered."""
    beside_request: Callable[[int], str]
    """What stands beside the group's offset of a partition of that topic: a note for those who watch."""
    suspend_requests: Callable[[], Awaitable[None]]
    """Lets Fluent requests in flight end; called when the engine is suspended and no lease is left."""
    on_granted: Callable[[], None]
    """Called when the group has granted tasks, before any is taken over."""
    on_record_failed: Callable[[], None]
    """Called before `die` where a record ends the process, which is counted with the record."""
    on_opened: Callable[[], None]
    """Called when all tasks are open and Faust has resumed."""
    on_stopped: Callable[[], Awaitable[None]]
    """Called when Faust has stopped."""
