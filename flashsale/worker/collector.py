"""When the worker looks for garbage that refers to itself: hardly ever, and once after a takeover."""

from __future__ import annotations

import ctypes
import gc

_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
"""glibc's; other C libraries have none, or need none."""


def calm() -> None:
    """Rows, commands and records hold no cycles; looking for some every 700 objects costs CPU for nothing."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


def clear_away() -> None:
    """Free what a takeover left behind, and give the memory back.

    A fetch that nobody read any more when its partition went refers to itself (aiokafka's PartitionRecords
    and its iterator), with up to three megabytes of each partition. And the clients that read rows back
    leave holes of 60 MB in what glibc keeps for their threads, which the next ones do not fill
    (malloc_trim(3)).
    """
    gc.collect()
    if _trim is not None:
        _trim(0)
