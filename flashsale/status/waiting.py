"""What waits to be decided, and what stands in its way: records that are gone, open transactions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from flashsale.admin.cluster import admin_client
from flashsale.admin.group import Group, Place, log_ends, log_ranges, look_at_group, newest_record_ms
from flashsale.admin.topics import GROUP
from schemas.topics import FLUENT_REQUESTS, INPUTS, STAGES, TASK_CHANGELOG
from streams.reader import partitions_of, reading
from streams.settings import Settings

DECIDED = (*INPUTS, *STAGES, FLUENT_REQUESTS)


@dataclass
class Waiting:
    """How far the group is in each log. Places are by the topics' names on the broker."""

    group: Group = field(default_factory=lambda: Group("UNKNOWN", (), {}))
    behind: dict[Place, tuple[int, int]] = field(default_factory=dict)
    """Partitions with records that are not decided: next offset, and how many."""
    oldest_ms: dict[Place, int] = field(default_factory=dict)
    """When the first of those records was written."""
    held_up: dict[Place, tuple[int, int]] = field(default_factory=dict)
    """Partitions with an open transaction: how much of the log it hides, and since when (Unix ms)."""
    lost: dict[Place, tuple[int, int]] = field(default_factory=dict)
    """Partitions that do not hold what comes next: the group's offset, and where the log begins (or ends)."""
    rows_lost: bool = False
    """Whether the changelog is empty although something was decided: it is another one than it was."""
    last_commit_ms: int | None = None

    def of(self, topic: str) -> tuple[int, int | None]:
        """How many records of a topic (name on the broker) wait, and the time of the oldest."""
        count = sum(many for (name, _), (_, many) in self.behind.items() if name == topic)
        times = [at_ms for (name, _), at_ms in self.oldest_ms.items() if name == topic]
        return count, min(times, default=None)


def what_waits(settings: Settings) -> Waiting:
    """Read it. Raises ConfigurationError where a topic is missing or the broker falls silent."""
    admin, places = admin_client(settings), partitions_of(settings, *DECIDED)
    found = Waiting(look_at_group(admin, settings, GROUP, places))
    asked = settings.prefixed(FLUENT_REQUESTS)
    ranges = log_ranges(admin, places)
    ends = log_ends(admin, places)
    for place, (begin, end) in ranges.items():
        committed = found.group.committed.get(place, begin)
        if place[0] != asked and not begin <= committed <= ends[place]:
            found.lost[place] = (committed, begin if committed < begin else ends[place])
        position = max(begin, committed)
        if position < end:
            found.behind[place] = (position, end - position)
    changelog = partitions_of(settings, TASK_CHANGELOG)
    found.rows_lost = _rows_lost(found.group, asked, log_ends(admin, changelog))
    found.last_commit_ms = newest_record_ms(admin, changelog)
    found.oldest_ms = _first_times(settings, {place: at for place, (at, _) in found.behind.items()})
    hidden = {place: end for place, (_, end) in ranges.items() if end < ends[place]}
    since = _first_times(settings, hidden, uncommitted=True)
    found.held_up = {place: (ends[place] - hidden[place], at_ms) for place, at_ms in since.items()}
    return found


def _rows_lost(group: Group, asked: str, changelog: dict[Place, int]) -> bool:
    """A position is written with the rows of its task, so an empty partition of them has no positions."""
    empty = {partition for (_, partition), end in changelog.items() if end == 0}
    return any(
        offset > 0 and topic != asked and partition % len(changelog) in empty
        for (topic, partition), offset in group.committed.items()
    )


def _first_times(
    settings: Settings, positions: dict[Place, int], *, uncommitted: bool = False
) -> dict[Place, int]:
    """The time of the first record at or after each position; none where only markers are left."""
    topics = sorted({topic.removeprefix(settings.topic_prefix) for topic, _ in positions})
    if not topics:
        return {}
    with reading(settings, *topics, uncommitted=uncommitted) as reader:
        reader.begin_at(positions)
        return {
            (cast(str, message.topic()), cast(int, message.partition())): message.timestamp()[1]
            for message in reader.firsts()
        }
