"""How far this machine's clock is ahead of the brokers': ages are told by theirs.

Nobody can ask a broker for the time. But workers know it, and write it into their notes every few seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from confluent_kafka import KafkaException

from flashsale.admin.group import Group
from flashsale.notes import Note

OLDEST_MS = 10_000
"""A note is not older than this where a worker writes them, so no smaller difference shows at once."""

AGAIN_EVERY_S = 0.25
WRITTEN_WITHIN_S = 8.0
DIFFERS_MS = 2_000
"""A smaller difference is none: a note takes a while until it is seen, and no clock is exact."""

Read = Callable[[], Iterable[Note]]


def ahead_of_brokers(now_ms: Callable[[], int], group: Group, read: Read) -> int:
    """How many ms this machine's clock is ahead, negative when it is behind, 0 where no difference is seen.

    Where the notes of the group's members do not fit this clock, the next one is waited for: what it says is
    the brokers' time of just now. `read` looks at the notes again.
    """
    newest = _newest(group, group.notes.values())
    if newest is None or -DIFFERS_MS <= (ahead_ms := now_ms() - newest) <= OLDEST_MS:
        return 0
    deadline = time.monotonic() + WRITTEN_WITHIN_S
    while time.monotonic() < deadline:
        time.sleep(AGAIN_EVERY_S)  # the group tells nobody when an offset is committed
        try:
            at_ms = _newest(group, read())
        except KafkaException:
            return 0  # everything else may still be told
        if at_ms is not None and at_ms > newest:
            ahead_ms = now_ms() - at_ms
            return ahead_ms if abs(ahead_ms) > DIFFERS_MS else 0
    return min(0, ahead_ms)


def _newest(group: Group, notes: Iterable[Note]) -> int | None:
    """What a former owner wrote may be of any age."""
    members = {member.id for member in group.members}
    return max(
        (note.at_ms for note in notes if note.at_ms is not None and note.member in members), default=None
    )
