"""When the worker looks for garbage that refers to itself: hardly ever, and once after a takeover."""

from __future__ import annotations

import gc

from flashsale.worker.allocator import trim


def calm() -> None:
    """Rows, commands and records hold no cycles; looking for some every 700 objects costs CPU for nothing."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


def clear_away() -> None:
    """Free what a takeover left behind, and give the memory back.

    A fetch that nobody read any more when its partition went refers to itself (aiokafka's PartitionRecords
    and its iterator), with up to three megabytes of each partition. And the clients that read rows back
    leave holes in what glibc keeps for their threads.
    """
    gc.collect()
    trim()
