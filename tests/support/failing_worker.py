"""A worker with a bug: `python tests/support/failing_worker.py REF` fails at every order with that ref."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from flashsale.worker.process import run
from streams.ledger import orders
from streams.settings import load_settings


def fail_at(ref: str) -> None:
    """Let the orders core raise for orders of that ref."""
    decide = orders.decide

    def failing(rows: Any, command: Any, now_ms: int, effects: Any) -> None:
        decide(rows, command, now_ms, effects)
        if getattr(command, "order_ref", None) == ref:
            raise LookupError(f"nobody thought of {ref}")

    orders.decide = failing


if __name__ == "__main__":
    fail_at(sys.argv[1])
    run(load_settings(), None)
