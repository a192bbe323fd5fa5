"""`python -m benchmarks.figures`: what the figures that are published once a second cost the ledger.

The same claims, over 1,000 SKUs at 20,000 a second, are decided with and without them in turn.
"""

from __future__ import annotations

import time
from collections import deque
from statistics import median
from unittest.mock import patch

from schemas.topics import SKU_COMMANDS
from streams.ledger import commands as c
from streams.ledger.effects import Effects
from streams.ledger.reservations import decide, earliest_deadline_ms
from streams.ledger.rows import MemoryStore, Rows
from streams.ledger.terms import Source, Terms

NOON_MS = 1_800_000_000_000
SKUS, A_SECOND, SECONDS, BATCH, ROUNDS = 1_000, 20_000, 4, 500, 7
UNITS = 1_000_000


def main() -> None:
    """Measure and say."""
    told, silent = [], []
    for _ in range(ROUNDS):
        told.append(_claims())
        with patch("streams.ledger.reservations.claims.publish_soon", lambda _: None):
            silent.append(_claims())
    with_us, without_us = median(told), median(silent)
    print(f"a claim's processor time: {with_us:.2f} µs with figures, {without_us:.2f} µs without")
    print(f"difference: {with_us - without_us:.2f} µs")


def _claims() -> float:
    """Processor time a claim in microseconds, timers included."""
    rows, spent_s = _sale(), 0.0
    for first in range(0, A_SECOND * SECONDS, BATCH):
        now_ms = NOON_MS + 1_000 + first * 1_000 // A_SECOND
        claims = [_claim(number) for number in range(first, first + BATCH)]
        began = time.process_time()
        effects = Effects()
        for claim in claims:
            decide(rows, claim, now_ms, effects)
        _tick(rows, now_ms)
        rows.flush()
        spent_s += time.process_time() - began
        rows.committed()
    return spent_s / (A_SECOND * SECONDS) * 1e6


def _sale() -> Rows:
    store = MemoryStore()
    rows = Rows(store)
    for number in range(SKUS):
        sku = f"SKU-{number}"
        decide(rows, c.Reserve("P", sku, UNITS, NOON_MS + 7_200_000, Terms()), NOON_MS, Effects())
        decide(rows, c.HoldConfirmed("P", sku, 1, UNITS), NOON_MS, Effects())
    store.write(rows.flush())
    rows.committed()
    return rows


def _claim(number: int) -> c.Claim:
    source = Source("order-placed", 0, number)
    return c.Claim("P", f"SKU-{number * 7_919 % SKUS}", 1, f"O-{number}", NOON_MS, 5_000, 86_400_000, source)


def _tick(rows: Rows, now_ms: int) -> None:
    """What a timer does when something is due, with the Continues that follow."""
    due_ms = earliest_deadline_ms(rows)
    commands: deque[c.SkuCommand] = deque([c.Tick(0, now_ms)] if due_ms and due_ms <= now_ms else [])
    while commands:
        effects = Effects()
        decide(rows, commands.popleft(), now_ms, effects)
        sends = (send for send in effects.sends if send.topic == SKU_COMMANDS)
        commands.extend(c.decode_sku_command(send.value or b"") for send in sends)


if __name__ == "__main__":
    main()
