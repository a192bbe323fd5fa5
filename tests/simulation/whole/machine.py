"""What a worker has of its machine: disks that outlive it, and an executor that takes time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from random import Random
from typing import Any

from streams.engine.store import Mark
from streams.ledger.rows import Changes, MemoryStore
from tests.simulation.whole.clock import VirtualLoop


class Disk(MemoryStore):
    """In place of a RocksDB: rows and the mark of the changelog's prefix that they are."""

    def __init__(self) -> None:
        super().__init__()
        self._mark: Mark | None = None

    def write_marked(self, changes: Changes, mark: Mark) -> None:
        """Apply all changes at once, with the changelog prefix that they complete."""
        self.write(changes)
        self._mark = mark

    def mark(self) -> Mark | None:
        """The changelog prefix that it holds."""
        return self._mark

    def close(self) -> None:
        """It can be opened again."""

    def wiped(self) -> Disk:
        """Delete everything and start empty."""
        self.rows.clear()
        self._keys.clear()
        self._mark = None
        return self


class Disks:
    """All disks of all machines by path."""

    def __init__(self) -> None:
        self._disks: dict[Path, Disk] = {}

    def open(self, path: Path, _tasks: int = 1) -> Disk:
        """The disk at a path, as it was left."""
        return self._disks.setdefault(path, Disk())

    def lose(self, directory: Path) -> None:
        """A machine is replaced by a new one."""
        for path, disk in self._disks.items():
            if directory in path.parents:
                disk.wiped()

    def at(self, path: Path) -> Disk | None:
        """The disk at a path, if there is one."""
        return self._disks.get(path)


class SlowExecutor(Executor):
    """Runs what it is given a moment later, in the process that gave it."""

    def __init__(self, loop: VirtualLoop, rng: Random) -> None:
        self._loop = loop
        self._rng = rng

    def submit(self, work: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        """See concurrent.futures."""
        future: Future[Any] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work(*args, **options))
            except Exception as error:
                future.set_exception(error)

        self._loop.call_later(self._rng.uniform(0.001, 0.05), run)
        return future
