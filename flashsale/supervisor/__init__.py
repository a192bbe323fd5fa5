"""Keeps one worker process alive: starts it, starts it again when it ends, stops it in bounded time.

    DATA_DIR/worker.lock ── taken by ──► supervisor ── starts ──► python -m flashsale.worker
                                             │  SIGTERM, SIGINT ──────►│
                                             │◄────────── exit status ─┘

The child may end at any moment, by itself where going on could decide something twice: a new process restores
what was committed, which is the one way back that is always right. It dies
with its supervisor, so that there are never two for one data directory.
"""

from __future__ import annotations

from flashsale.supervisor.lock import locked
from flashsale.supervisor.supervise import Backoff, supervise
from flashsale.supervisor.takeovers import SETTLED_S, FailedTakeovers

__all__ = ["SETTLED_S", "Backoff", "FailedTakeovers", "locked", "supervise"]
