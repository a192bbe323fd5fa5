"""A worker whose clock is wrong: `python tests/support/skewed_worker.py SECONDS` ahead of what is right."""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))


def set_ahead(seconds: int) -> None:
    """Let everything in this process believe that it is later."""
    right_s, right_ns = time.time, time.time_ns
    time.time = lambda: right_s() + seconds
    time.time_ns = lambda: right_ns() + seconds * 1_000_000_000


if __name__ == "__main__":
    set_ahead(int(sys.argv[1]))
    from flashsale.worker.process import run
    from streams.settings import load_settings

    run(load_settings(), None)
