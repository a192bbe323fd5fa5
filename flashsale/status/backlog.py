"""What a person should know of records that wait for long, and of those that nobody can decide any more."""

from __future__ import annotations

from collections.abc import Iterator

from flashsale.admin.group import Place
from flashsale.dead_letters.letter import DeadLetter
from flashsale.status.gather import MINUTE_MS, Facts
from schemas.status import Attention
from schemas.topics import INPUTS, STAGES, TASK_CHANGELOG
from streams.settings import Settings

SLOW_S = 30
"""Records that wait for longer than this are not on their way any more."""

NAMED = 5
"""So many partitions are named in one line."""

STOPPED_S = 2
"""Right behind a flood, records that wait for longer than this are not taken in any more."""

POISON_SHARE = 0.4
"""So much of what was taken in last is dead letters where intake has stopped: nine of ten messages, but a
producer's transactions leave markers in the log, up to one a message."""


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
    if intake_looks_stopped(settings, facts):
        limit = settings.config.dead_letter_limit_per_minute
        yield _error(
            "intake",
            f"it has stopped: more was turned away than deadLetterLimitPerMinute ({limit:,}) allows",
            "see `flashsale dead-letters list`; correct the producer or inputMapping, then start the workers "
            "again (docs/operations.md, 'Intake that has stopped')",
        )
        return
    for topic in (*INPUTS, *STAGES):
        late = [place for place in _late(facts) if place[0] == settings.prefixed(topic)]
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


def intake_looks_stopped(settings: Settings, facts: Facts) -> bool:
    """Whether records of an input topic have waited for long, right behind a flood of dead letters.

    The flood may have been the whole of its own partition: then what waits in others, since a minute after
    its last letter at the latest, was not taken in because of it.
    """
    limit = settings.config.dead_letter_limit_per_minute
    inputs = {settings.prefixed(topic): topic for topic in INPUTS}
    late = {place for place in _late(facts, STOPPED_S) if place[0] in inputs}
    if not limit or not late:
        return False
    waits_since_ms = min(facts.waiting.oldest_ms[place] for place in late)
    recent = [letter for letter in facts.letters if letter.at_ms >= waits_since_ms - MINUTE_MS]
    committed = facts.waiting.group.committed
    empty = {place: at for place, at in committed.items() if place[0] in inputs and place not in late}
    return any(
        _ends_in_a_flood(letters, inputs[name], partition, position, limit)
        for letters, positions in (
            (facts.letters, {place: facts.waiting.behind[place][0] for place in late}),
            (recent, empty),
        )
        for (name, partition), position in positions.items()
    )


def _ends_in_a_flood(
    letters: list[DeadLetter], topic: str, partition: int, position: int, limit: int
) -> bool:
    """Intake stops after a piece of at most `limit` records, of which nearly all were turned away."""
    of_partition = (letter for letter in letters if (letter.topic, letter.partition) == (topic, partition))
    before = [letter for letter in of_partition if letter.offset < position]
    if not before or (last := max(before, key=_offset)).offset < position - limit - 1:
        return False
    within = range(last.at_ms - MINUTE_MS, last.at_ms + 1)
    begin = min(letter.offset for letter in before if letter.at_ms in within)
    many = sum(letter.at_ms in within for letter in letters)
    here = sum(letter.at_ms in within for letter in before)
    return many > limit and here >= POISON_SHARE * (position - begin)


def _offset(letter: DeadLetter) -> int:
    return letter.offset


def _error(subject: str, problem: str, remedy: str) -> Attention:
    return Attention(severity="error", subject=subject, problem=problem, remedy=remedy)
