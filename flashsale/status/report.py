"""A status report out of what was read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from flashsale.status.attention import attention
from flashsale.status.gather import Facts, gather
from flashsale.status.workers import moment, worst_breaker
from schemas.status import DeadLetterStatus, FluentStatus, GroupStatus, StatusReport, TopicStatus
from schemas.times import iso_utc
from schemas.topics import FLUENT_REQUESTS, INPUTS, STAGES
from streams.settings import Settings


def status_report(settings: Settings, clock: Callable[[], int], promotion: str | None = None) -> StatusReport:
    """How everything stands now, by `clock` (Unix ms), which is put right by the brokers'.

    Raises ConfigurationError as `gather` does, and KafkaException.
    """
    return report_of(settings, gather(settings, clock, promotion), with_lines=promotion is not None)


def report_of(settings: Settings, facts: Facts, *, with_lines: bool) -> StatusReport:
    """What these facts say, with the SKUs of each promotion or without."""
    letters = facts.letters_of_the_hour
    promotions = sorted(facts.promotions.values(), key=lambda each: (not each.is_open, each.id))
    return StatusReport(
        at=iso_utc(facts.at_ms),
        clock_ahead_seconds=facts.clock_ahead_ms / 1_000 if facts.clock_ahead_ms else None,
        promotions=[each.shown(facts.at_ms, with_lines=with_lines) for each in promotions],
        topics=[_topic(settings, facts, topic) for topic in (*INPUTS, *STAGES)],
        group=_group(settings, facts),
        fluent=_fluent(settings, facts),
        dead_letters=DeadLetterStatus(
            last_hour=len(letters), reasons=dict(Counter(letter.reason for letter in letters))
        ),
        attention=list(attention(settings, facts)),
    )


def _topic(settings: Settings, facts: Facts, topic: str) -> TopicStatus:
    behind, oldest_ms = facts.waiting.of(settings.prefixed(topic))
    seconds = None if oldest_ms is None else max(0.0, (facts.at_ms - oldest_ms) / 1_000)
    watermark_ms = oldest_ms if behind else facts.at_ms
    return TopicStatus(topic=topic, behind=behind, seconds_behind=seconds, decided_up_to=moment(watermark_ms))


def _group(settings: Settings, facts: Facts) -> GroupStatus:
    return GroupStatus(
        state=facts.waiting.group.state,
        tasks=settings.config.partitions,
        workers=facts.workers(settings),
        last_commit_at=moment(facts.waiting.last_commit_ms),
    )


def _fluent(settings: Settings, facts: Facts) -> FluentStatus:
    unanswered, asked_ms = facts.unanswered(settings.prefixed(FLUENT_REQUESTS))
    told = [worker for worker in facts.workers(settings) if worker.breaker is not None]
    return FluentStatus(
        unanswered=unanswered,
        oldest_asked_at=moment(asked_ms),
        breaker=worst_breaker(told),
        queued=sum(worker.queued or 0 for worker in told) if told else None,
        in_flight=sum(worker.in_flight or 0 for worker in told) if told else None,
    )
