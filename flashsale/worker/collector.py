"""When the worker looks for garbage that refers to itself: hardly ever, and once after a takeover."""

from __future__ import annotations

import ctypes
import gc

_libc = ctypes.CDLL(None)
_trim = getattr(_libc, "malloc_trim", None)
_mallopt = getattr(_libc, "mallopt", None)
"""glibc's; other C libraries have none, or need none."""

M_MMAP_THRESHOLD = -3
LARGE_BYTES = 256 << 10


def calm() -> None:
    """Rows, commands and records hold no cycles; looking for some every 700 objects costs CPU for nothing.

    Large pieces, as fetches and write buffers, go back to the system when they are freed: glibc raises what
    it calls large up to 32 MB by itself, and such pieces leave holes among the small ones (mallopt(3)).
    """
    if _mallopt is not None:
        _mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
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
