"""Who owns which tasks since when, and what the workers say about themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from flashsale.admin.group import Group, Member
from flashsale.notes import Note
from schemas.status import Breaker, WorkerStatus
from schemas.times import iso_utc
from schemas.topics import FLUENT_REQUESTS, SKU_COMMANDS
from streams.settings import Settings


def workers_of(settings: Settings, group: Group) -> list[WorkerStatus]:
    """The members of the group, by their tasks."""
    found = [_worker(settings, group, member) for member in group.members]
    return sorted(found, key=lambda worker: (worker.tasks, worker.member))


def worst_breaker(workers: Iterable[WorkerStatus]) -> Breaker | None:
    """Of those that say how theirs is."""
    severity = get_args(Breaker).index
    return max((each.breaker for each in workers if each.breaker is not None), key=severity, default=None)


def moment(at_ms: int | None) -> str | None:
    """A time (Unix ms) as the report gives it."""
    return None if at_ms is None else iso_utc(at_ms)


def _worker(settings: Settings, group: Group, member: Member) -> WorkerStatus:
    log, asked = settings.prefixed(SKU_COMMANDS), settings.prefixed(FLUENT_REQUESTS)
    tasks = sorted(partition for topic, partition in member.partitions if topic == log)
    notes = {
        task: note
        for task in tasks
        if (note := group.notes.get((asked, task))) is not None and note.member == member.id
    }
    newest = max(notes.values(), key=_told, default=None)
    return WorkerStatus(
        member=member.id,
        host=member.host,
        tasks=tasks,
        since=[moment(notes[task].since_ms) if task in notes else None for task in tasks],
        breaker=None if newest is None else newest.breaker,
        queued=None if newest is None else newest.queued,
        in_flight=None if newest is None else newest.in_flight,
        intake_stopped=None if newest is None else newest.intake_stopped,
        told_at=None if newest is None else moment(newest.at_ms),
    )


def _told(note: Note) -> int:
    return note.at_ms or 0
