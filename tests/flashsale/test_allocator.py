"""How many parts of glibc's heap the threads of a worker share."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

COUNTED = """
import ctypes, sys, threading
from flashsale.worker.allocator import share_arenas

{first}
libc = ctypes.CDLL(None)
together = threading.Barrier(7)
libc.malloc.restype = ctypes.c_void_p

def take():
    assert libc.malloc(1000)
    together.wait(30)
    together.wait(30)

for _ in range(6):
    threading.Thread(target=take).start()
together.wait(30)
libc.fdopen.restype = ctypes.c_void_p
told = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, told)
libc.fflush(told)
together.wait(30)
"""


def arenas(first: str, **environment: str) -> int:
    """How many there are in a process after six threads have asked for memory at once."""
    done = subprocess.run(
        [sys.executable, "-c", COUNTED.format(first=first)],
        env={**os.environ, **environment},
        capture_output=True,
        timeout=60,
        check=True,
    )
    return done.stdout.count(b"<heap nr=")


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="counts the arenas of glibc")
def test_the_threads_of_a_worker_share_two_arenas_unless_the_environment_says_how_many() -> None:
    assert arenas("share_arenas()") == 2
    assert arenas("share_arenas()", MALLOC_ARENA_MAX="3") == 3
    assert arenas("") > 3, "each thread has one of its own otherwise"
