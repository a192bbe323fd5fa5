"""An event loop under virtual time, in which processes freeze and die between any two of their steps."""

from __future__ import annotations

import asyncio
import contextvars
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

NEUTRAL = contextvars.Context()
"""In which the world runs: whatever becomes of processes, it goes on."""


@dataclass(eq=False)
class Process:
    """A process. What it was about to do when it froze it does when it wakes up; once dead, never."""

    name: str
    skew_ms: int = 0
    """How far its wall clock is ahead."""
    frozen: bool = False
    dead: bool = False
    kept: list[asyncio.Handle] = field(default_factory=list)
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)
    """All it ever started: those of a dead process must not be collected, which would run their clean-up."""


PROCESS: contextvars.ContextVar[Process | None] = contextvars.ContextVar("PROCESS", default=None)


class Died(BaseException):
    """Ends what a process is doing, at once."""


class AtRest(Exception):
    """Nothing is planned any more."""


def _may_run(handle: asyncio.Handle) -> bool:
    process = handle._context.get(PROCESS)  # type: ignore[attr-defined]
    if process is None or not (process.frozen or process.dead):
        return True
    if not process.dead:
        process.kept.append(handle)
    return False


class _Handle(asyncio.Handle):
    __slots__ = ()

    def _run(self) -> None:
        if _may_run(self):
            super()._run()


class _Timer(asyncio.TimerHandle):
    __slots__ = ()

    def _run(self) -> None:
        if _may_run(self):
            super()._run()


class _Selector:
    """Nothing ever comes from outside: waiting is moving the clock."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise AtRest
        self._loop.seconds += timeout
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """Jumps to the next timer when nothing is ready."""

    def __init__(self, start_ms: int) -> None:
        super().__init__()
        self.seconds = 1_000.0
        self._start_ms = start_ms
        self._selector = _Selector(self)
        self.set_task_factory(_started)

    def time(self) -> float:
        """Virtual seconds, monotonic."""
        return self.seconds

    @property
    def now_ms(self) -> int:
        """The true time in Unix ms."""
        return self._start_ms + round((self.seconds - 1_000.0) * 1_000)

    def wall_ns(self) -> int:
        """The wall clock of the process that asks."""
        process = PROCESS.get()
        return (self.now_ms + (process.skew_ms if process else 0)) * 1_000_000

    def call_at(  # type: ignore[override]  # typeshed's is generic in the callback's arguments
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        """See asyncio."""
        timer = super().call_at(when, callback, *args, context=context)
        timer.__class__ = _Timer
        return timer

    def _call_soon(self, callback: Any, args: Any, context: Any) -> asyncio.Handle:
        handle = _Handle(callback, args, self, context)
        self._ready.append(handle)  # type: ignore[attr-defined]
        return handle

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.Handle:
        """There are no other threads."""
        return self.call_soon(callback, *args, context=context)

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        """Something that the world does, whatever becomes of processes."""
        self.call_at(self.seconds + seconds, action, context=NEUTRAL)

    def thaw(self, process: Process) -> None:
        """A frozen process goes on where it stopped."""
        process.frozen = False
        kept, process.kept = process.kept, []
        self._ready.extend(each for each in kept if not each.cancelled())  # type: ignore[attr-defined]

    def let_go(self) -> None:
        """Everything ends where it stands. Clean-up of what never ended finds nothing to do."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # some were never begun
            for task in asyncio.all_tasks(self):
                with suppress(BaseException):
                    task.get_coro().close()

    def _process_events(self, event_list: Any) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """There is nobody to be woken."""


def _started(loop: Any, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **options)
    process = (options.get("context") or contextvars.copy_context()).get(PROCESS)
    if process is not None:
        process.tasks.append(task)
        if len(process.tasks) > 1_000:
            process.tasks = [each for each in process.tasks if not each.done()]
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    return task


@contextmanager
def virtual_time(start_ms: int) -> Iterator[VirtualLoop]:
    """A loop, and the clocks of `time` going by it, each process's wall clock with its skew."""
    loop = VirtualLoop(start_ms)
    clocks: dict[str, Any] = {
        "monotonic": loop.time,
        "perf_counter": loop.time,
        "time": lambda: loop.wall_ns() / 1e9,
        "time_ns": loop.wall_ns,
    }
    try:
        with patch.multiple(time, **clocks):
            try:
                yield loop
            finally:
                loop.let_go()
    finally:
        loop.close()
