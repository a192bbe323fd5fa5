"""What glibc keeps of the memory that was freed; other C libraries lack these calls, and need none."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping

M_ARENA_MAX = -8
"""Of malloc.h, see mallopt(3)."""

ARENAS = 2
"""Parts of the heap that threads share. glibc would make eight a processor, and what one client has freed in
its threads' part is not used in another: after some takeovers 300 MB were kept for 20 MB in use."""

_libc = ctypes.CDLL(None)
_limit = getattr(_libc, "mallopt", None)
_trim = getattr(_libc, "malloc_trim", None)


def share_arenas(environment: Mapping[str, str] = os.environ) -> None:
    """Let all threads share two arenas, unless MALLOC_ARENA_MAX says how many.

    glibc reads the limit when the second thread allocates something, so this comes before any thread begins.
    """
    if _limit is not None and "MALLOC_ARENA_MAX" not in environment:
        _limit(M_ARENA_MAX, ARENAS)


def trim() -> None:
    """Give back whole pages that are free (malloc_trim(3))."""
    if _trim is not None:
        _trim(0)
