"""Timers: a partition whose earliest deadline has passed gets a Tick, again each second until it moved.

A timer never touches rows. The stage acts on the deadlines up to the tick's broker timestamp, so ticks
that come twice, early, late or from a worker that lost the partition change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from streams.engine.host.app import EngineApp
from streams.engine.stage import Stage
from streams.engine.task import Task
from streams.ledger.commands import Tick, encode
from streams.ledger.rows import Rows
from streams.system import now_ms

REPEAT_AFTER_MS = 1_000

SendTick = Callable[[str, int, bytes], None]
"""Sends a command to (logical topic, partition)."""


@dataclass(slots=True)
class Timers:
    """Remembers which deadline of which source was last ticked, and when."""

    send: SendTick
    _ticked: dict[str, tuple[int, int]] = field(default_factory=dict)

    def register(self, app: EngineApp, every_s: float) -> None:
        """Let `app` look after the deadlines of its tasks, every `every_s` seconds."""

        @app.timer(interval=every_s, name="ticks")
        async def ticks() -> None:
            self.look(app.engine.tasks, now_ms())

    def look(self, tasks: Mapping[str, Task], now_ms: int) -> int:
        """Send the ticks that are due at `now_ms` (Unix time); returns how many."""
        sent = 0
        for task in tasks.values():
            if not task.running:
                continue
            for source, stage in task.stages.items():
                deadline_ms = _earliest_ms(stage, task.rows)
                if deadline_ms is None or deadline_ms > now_ms or self._recent(source, deadline_ms, now_ms):
                    continue
                self.send(stage.topic, int(source.rpartition("/")[2]), encode(Tick(now_ms)))
                self._ticked[source] = (deadline_ms, now_ms)
                sent += 1
        return sent

    def _recent(self, source: str, deadline_ms: int, now_ms: int) -> bool:
        last = self._ticked.get(source)
        return last is not None and last[0] == deadline_ms and now_ms - last[1] < REPEAT_AFTER_MS


def _earliest_ms(stage: Stage, rows: Rows) -> int | None:
    """When the stage needs a Tick next, by whichever clock. It is assumed that nothing waits in a backlog."""
    found = (stage.earliest_deadline_ms(rows), stage.next_watermark_deadline_ms(rows))
    return min((deadline_ms for deadline_ms in found if deadline_ms is not None), default=None)
