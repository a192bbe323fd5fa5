"""A status report out of what was read."""

from __future__ import annotations

from collections import Counter

from flashsale.status.attention import attention
from flashsale.status.gather import Facts, gather
from schemas.status import (
    DeadLetterStatus,
    FluentStatus,
    GroupStatus,
    StatusReport,
    TopicStatus,
    WorkerStatus,
)
from schemas.times import iso_utc
from schemas.topics import FLUENT_REQUESTS, INPUTS, SKU_COMMANDS, STAGES
from streams.settings import Settings


def status_report(settings: Settings, now_ms: int, promotion: str | None = None) -> StatusReport:
    """How everything stands at `now_ms`. Raises ConfigurationError as `gather` does, and KafkaException."""
    return report_of(settings, gather(settings, now_ms, promotion), with_lines=promotion is not None)


def report_of(settings: Settings, facts: Facts, *, with_lines: bool) -> StatusReport:
    """What these facts say, with the SKUs of each promotion or without."""
    unanswered, asked_ms = facts.unanswered(settings.prefixed(FLUENT_REQUESTS))
    letters = facts.letters_of_the_hour
    promotions = sorted(facts.promotions.values(), key=lambda each: (not each.is_open, each.id))
    return StatusReport(
        at=iso_utc(facts.at_ms),
        promotions=[each.shown(facts.at_ms, with_lines=with_lines) for each in promotions],
        topics=[_topic(settings, facts, topic) for topic in (*INPUTS, *STAGES)],
        group=_group(settings, facts),
        fluent=FluentStatus(unanswered=unanswered, oldest_asked_at=_moment(asked_ms)),
        dead_letters=DeadLetterStatus(
            last_hour=len(letters), reasons=dict(Counter(letter.reason for letter in letters))
        ),
        attention=list(attention(settings, facts)),
    )


def _topic(settings: Settings, facts: Facts, topic: str) -> TopicStatus:
    behind, oldest_ms = facts.waiting.of(settings.prefixed(topic))
    seconds = None if oldest_ms is None else max(0.0, (facts.at_ms - oldest_ms) / 1_000)
    watermark_ms = oldest_ms if behind else facts.at_ms
    return TopicStatus(
        topic=topic, behind=behind, seconds_behind=seconds, decided_up_to=_moment(watermark_ms)
    )


def _group(settings: Settings, facts: Facts) -> GroupStatus:
    log = settings.prefixed(SKU_COMMANDS)
    workers = [
        WorkerStatus(
            member=member.id,
            host=member.host,
            tasks=sorted(partition for topic, partition in member.partitions if topic == log),
        )
        for member in facts.waiting.group.members
    ]
    return GroupStatus(
        state=facts.waiting.group.state,
        tasks=settings.config.partitions,
        workers=sorted(workers, key=lambda worker: (worker.tasks, worker.member)),
        last_commit_at=_moment(facts.waiting.last_commit_ms),
    )


def _moment(at_ms: int | None) -> str | None:
    return None if at_ms is None else iso_utc(at_ms)
