"""Waits until the broker's just-in-time compilers have nothing to do.

A broker that serves shops has been up for weeks; the one measured here began a minute ago. Its compilers have
half a minute of work to do, and on two cores they take it from everybody.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

COMPILERS = ("C1 Compiler", "C2 Compiler")
LOOK_EVERY_S = 1.0
BUSY_S = 0.05
"""Compilers that took less of LOOK_EVERY_S have caught up."""

FEW_S = 2.0
"""A load that gives the compilers no more work than this has warmed the broker up."""

MAX_ROUNDS = 8
MAX_REST_S = 60.0


def warm_up(broker_pid: int, load: Callable[[], object]) -> None:
    """Repeat `load` until it makes the compilers work for less than FEW_S, MAX_ROUNDS times at most."""
    for number in range(1, MAX_ROUNDS + 1):
        before = compiled_s(broker_pid)
        load()
        rest(broker_pid)
        took_s = compiled_s(broker_pid) - before
        print(f"  warm-up {number}: the broker's compilers took {took_s:.1f} s", file=sys.stderr, flush=True)
        if took_s < FEW_S:
            return


def rest(broker_pid: int) -> None:
    """Wait until the compilers have caught up, MAX_REST_S at most."""
    deadline = time.monotonic() + MAX_REST_S
    before = compiled_s(broker_pid)
    while time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_S)
        now = compiled_s(broker_pid)
        if now - before < BUSY_S:
            return
        before = now


def compiled_s(broker_pid: int) -> float:
    """Processor seconds of the compilers so far; 0 where threads cannot be told apart (not Linux)."""
    if not sys.platform.startswith("linux"):
        return 0.0
    threads = psutil.Process(broker_pid).threads()
    return sum(
        thread.user_time + thread.system_time
        for thread in threads
        if _name(broker_pid, thread.id).startswith(COMPILERS)
    )


def _name(pid: int, thread: int) -> str:
    try:
        return Path(f"/proc/{pid}/task/{thread}/comm").read_text()
    except OSError:
        return ""
