"""What a person should know of records that wait for long, and of those that nobody can decide any more."""

from __future__ import annotations

from collections.abc import Iterator

from flashsale.admin.group import Place
from flashsale.admin.rules import counted
from flashsale.status.gather import Facts
from schemas.status import Attention
from schemas.topics import INPUTS, STAGES, TASK_CHANGELOG
from streams.settings import Settings

SLOW_S = 30
"""Records that wait for longer than this are not on their way any more."""

NAMED = 5
"""So many partitions are named in one line."""


def lost(settings: Settings, facts: Facts) -> Iterator[Attention]:
    """Logs that do not hold what comes next: workers end, and a person has to decide."""
    if facts.waiting.rows_lost:
        yield _error(
            TASK_CHANGELOG,
            "it is empty, but records were decided: it was deleted and made again, and workers cannot go on",
            "stop all workers, and bring it back; see docs/operations.md, 'The changelog is lost'",
        )
    for (topic, partition), (committed, at) in sorted(facts.waiting.lost.items()):
        what = f"begins at {at:,}" if committed < at else f"ends at {at:,}: it was created again"
        yield _error(
            topic.removeprefix(settings.topic_prefix),
            f"partition {partition} was decided up to offset {committed:,}, but the log {what}",
            "what stood there was never decided; see docs/operations.md, 'A position that the log no longer "
            "holds'",
        )


def backlog(settings: Settings, facts: Facts) -> Iterator[Attention]:
    """Records that should have been decided, by topic, and why they are not."""
    yield from _held_up(settings, facts)
    workers = facts.workers(settings)
    stopped = sum(worker.intake_stopped is True for worker in workers)
    if stopped:
        yield _error(
            "intake",
            f"{stopped:,} of {counted(len(workers), 'worker')} stopped it: more was turned away than "
            "deadLetterLimitPerMinute allows",
            "see `flashsale dead-letters list`; correct the producer or inputMapping, then start the workers "
            "again (docs/operations.md, 'Intake that has stopped')",
        )
    not_taken_in = {task for worker in workers if worker.intake_stopped for task in worker.tasks}
    for topic in (*INPUTS, *STAGES):
        late = [place for place in _late(facts) if place[0] == settings.prefixed(topic)]
        if topic in INPUTS:
            late = [at for at in late if at[1] % settings.config.partitions not in not_taken_in]
        if late:
            count, oldest_ms = facts.waiting.of(settings.prefixed(topic))
            late_s = (facts.at_ms - (oldest_ms or facts.at_ms)) / 1_000
            yield _error(
                topic,
                f"{count:,} records wait to be decided, the oldest for {late_s:,.0f} s: {_partitions(late)}",
                _remedy(settings, facts),
            )


def _remedy(settings: Settings, facts: Facts) -> str:
    last_commit_ms = facts.waiting.last_commit_ms
    if last_commit_ms is None or facts.at_ms - last_commit_ms > SLOW_S * 1_000:
        return "nothing is decided: look at the workers' logs, and run `flashsale check`"
    if len({partition % settings.config.partitions for _, partition in _late(facts)}) == 1:
        return (
            "the others go on: see the log of the worker that owns it (docs/operations.md, 'A partition that "
            "is stuck'); one SKU alone cannot be shared between workers"
        )
    return "start more workers; one SKU alone cannot be shared between them"


def _late(facts: Facts, slow_s: float = SLOW_S) -> list[Place]:
    slow_ms = facts.at_ms - slow_s * 1_000
    return sorted(place for place, at_ms in facts.waiting.oldest_ms.items() if at_ms < slow_ms)


def _held_up(settings: Settings, facts: Facts) -> Iterator[Attention]:
    for topic in (*INPUTS, *STAGES):
        name, slow_ms = settings.prefixed(topic), facts.at_ms - SLOW_S * 1_000
        held = {
            place: many
            for place, (many, since_ms) in sorted(facts.waiting.held_up.items())
            if place[0] == name and since_ms < slow_ms
        }
        if held:
            since_s = (facts.at_ms - min(facts.waiting.held_up[place][1] for place in held)) / 1_000
            yield _error(
                topic,
                f"a transaction has been open for {since_s:,.0f} s and hides up to {sum(held.values()):,} "
                f"records: {_partitions(list(held))}",
                "stop its producer, or end it: `kafka-transactions.sh describe-producers` and `list` name it "
                "(docs/operations.md, 'A partition that is stuck')",
            )


def _partitions(places: list[Place]) -> str:
    numbers = [str(partition) for _, partition in places]
    more = f" and {len(numbers) - NAMED:,} more" if len(numbers) > NAMED else ""
    return f"partition{'' if len(numbers) == 1 else 's'} {', '.join(numbers[:NAMED])}{more}"


def _error(subject: str, problem: str, remedy: str) -> Attention:
    return Attention(severity="error", subject=subject, problem=problem, remedy=remedy)
