"""Faust's tables and recovery, reduced to what is wanted of them: co-partitioning and a place to restore.

The one table has no data in Faust and no partition of its changelog is assigned: it makes Faust ask for a
recovery after each rebalance, which is where the engine takes tasks over and restores their rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from faust.stores.base import Store
from faust.tables import Table, TableManager
from faust.tables.recovery import RebalanceAgain, Recovery

from streams.engine.host.consumer import Consumer, partitions

if TYPE_CHECKING:
    from streams.engine.host.app import EngineApp


class EngineStore(Store):  # type: ignore[type-arg]
    """A store without data: the engine has it."""

    def persisted_offset(self, tp: Any) -> int | None:
        """Nothing is persisted by Faust."""
        return None

    def apply_changelog_batch(self, batch: Any, to_key: Any, to_value: Any) -> None:
        """Faust's recovery reads nothing (see `EngineRecovery`)."""

    def reset_state(self) -> None:
        """There is none."""

    async def backup_partition(self, tp: Any, flush: bool = True, purge: bool = False, keep: int = 1) -> None:
        """Abstract in Faust; the changelog is the backup."""

    def restore_backup(self, tp: Any, latest: bool = True, backup_id: int = 0) -> None:
        """Abstract in Faust; the changelog is the backup."""

    def __getitem__(self, key: Any) -> Any:
        raise KeyError(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError("rows are written by the engine, in the task's transaction")

    def __delitem__(self, key: Any) -> None:
        raise TypeError("rows are deleted by the engine, in the task's transaction")

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0


class EngineTable(Table):  # type: ignore[type-arg]
    """A Faust table over the store above."""

    def _new_store(self) -> EngineStore:
        return EngineStore("engine://", self.app, self, key_type=bytes, value_type=bytes)


class EngineRecovery(Recovery):
    """Faust's recovery service with the engine doing the work."""

    @property
    def _host(self) -> EngineApp:
        return cast("EngineApp", self.app)

    async def _build_highwaters(self, consumer: Any, tps: Any, destination: Any, title: str) -> None:
        """Nothing is restored here, so no broker is asked, and none that is away can stop a rebalance."""
        for tp in tps:
            destination[tp] = -1

    _build_offsets = _build_highwaters

    async def _seek_offsets(self, consumer: Any, tps: Any, offsets: Any, title: str) -> None:
        """There is nothing to read."""

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Open the tasks, then let Faust resume: those that stayed go on, the others follow when restored.

        tables/recovery.py:644 misses a revoke that is in progress: a generation that is not the current one
        any more starts over.
        """
        engine, consumer = self._host.engine, cast(Consumer, self.app.consumer)
        if generation_id == self.app.consumer_generation_id == consumer.member.generation:
            self._host.hooks.on_granted()
            assigned = partitions(consumer.assignment())
            await asyncio.shield(engine.open(assigned, consumer.member, consumer.reposition))
        opened = engine.generation == generation_id
        if not opened or generation_id != self.app.consumer_generation_id:
            raise RebalanceAgain
        await super().on_recovery_completed(generation_id)
        if generation_id == self.app.consumer_generation_id:
            engine.resumed(generation_id)
        self.add_future(self._announce(generation_id))

    async def _announce(self, generation_id: int) -> None:
        engine = self._host.engine
        if await engine.until_ready(generation_id) and engine.ready:
            self._host.hooks.on_opened()


class EngineTableManager(TableManager):
    """Installs the recovery above."""

    @property
    def recovery(self) -> EngineRecovery:
        """The recovery service."""
        if self._recovery is None:
            self._recovery = EngineRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return cast(EngineRecovery, self._recovery)
