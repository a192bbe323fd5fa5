"""How far this machine's clock is ahead of the brokers': ages are told by theirs.

Nobody can ask a broker for the time. But workers know it, and write it into their notes every few seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from flashsale.notes import Note

OLDEST_MS = 10_000
"""A note is not older than this where a worker writes them, so no smaller difference shows at once."""

AGAIN_EVERY_S = 0.25
WRITTEN_WITHIN_S = 8.0
DIFFERS_MS = 2_000
"""What a note that was just written takes until it is seen is no difference of clocks."""

Read = Callable[[], Iterable[Note]]


def ahead_of_brokers(now_ms: Callable[[], int], read: Read, *, told: Iterable[Note], alive: bool) -> int:
    """How many ms this machine's clock is ahead, negative when it is behind, 0 where no difference is seen.

    `told` are the notes that were read. Where they do not fit this clock, and a worker is `alive`, the next
    one is waited for: what it says is the brokers' time of just now.
    """
    newest = _newest(told)
    if newest is None or 0 <= (ahead_ms := now_ms() - newest) <= OLDEST_MS:
        return 0
    deadline = time.monotonic() + WRITTEN_WITHIN_S
    while alive and time.monotonic() < deadline:
        time.sleep(AGAIN_EVERY_S)  # the group tells nobody when an offset is committed
        at_ms = _newest(read())
        if at_ms is not None and at_ms > newest:
            ahead_ms = now_ms() - at_ms
            return ahead_ms if abs(ahead_ms) > DIFFERS_MS else 0
    return min(0, ahead_ms)


def _newest(notes: Iterable[Note]) -> int | None:
    return max((note.at_ms for note in notes if note.at_ms is not None), default=None)
