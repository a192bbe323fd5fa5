"""Reads what a status is made of: offsets of the group, promotions, dead letters, requests to Fluent."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
from confluent_kafka import Message

from flashsale.admin.cluster import admin_client
from flashsale.admin.group import Group, Place, log_ranges, look_at_group, newest_record_ms
from flashsale.admin.topics import GROUP
from flashsale.dead_letters.letter import DeadLetter, read_dead_letters
from flashsale.status.promotions import Promotion, decode_head
from schemas.invalid import InvalidEvent
from schemas.parsing import parse
from schemas.promotions import PromotionStart
from schemas.topics import (
    FLUENT_REQUESTS,
    INPUTS,
    PROMOTION_RESULTS,
    PROMOTION_START,
    RECONCILIATION_REPORTS,
    STAGES,
    TASK_CHANGELOG,
)
from streams.reader import partitions_of, reading
from streams.settings import Settings
from streams.settings.mapping import map_message

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

BACK_MS = (10 * MINUTE_MS, 2 * HOUR_MS, None)
"""How far back reports are read, until every promotion that is shown has one: they are published again and
again while a sale runs, with all their lines, and only the newest is wanted."""

DECIDED = (*INPUTS, *STAGES, FLUENT_REQUESTS)


@dataclass
class Facts:
    """What was read. Places are by the topics' names on the broker."""

    at_ms: int
    group: Group = field(default_factory=lambda: Group("UNKNOWN", (), {}))
    behind: dict[Place, tuple[int, int]] = field(default_factory=dict)
    """Partitions with records that are not decided: next offset, and how many."""
    oldest_ms: dict[Place, int] = field(default_factory=dict)
    """When the first of those records was written."""
    last_commit_ms: int | None = None
    promotions: dict[str, Promotion] = field(default_factory=dict)
    letters: list[DeadLetter] = field(default_factory=list)
    """Of the last hour, oldest first."""

    def waiting(self, topic: str) -> tuple[int, int | None]:
        """How many records of a topic (name on the broker) wait, and the time of the oldest."""
        count = sum(many for (name, _), (_, many) in self.behind.items() if name == topic)
        times = [at_ms for (name, _), at_ms in self.oldest_ms.items() if name == topic]
        return count, min(times, default=None)


def gather(settings: Settings, now_ms: int, promotion: str | None = None) -> Facts:
    """Read everything, of the promotions those of the last day or the one that is named.

    Raises ConfigurationError where a topic is missing or the broker falls silent, and KafkaException.
    """
    facts = Facts(now_ms)
    _read_group(settings, facts)
    _read_starts(settings, facts)
    _read_results(settings, facts)
    facts.letters = sorted(read_dead_letters(settings, now_ms - HOUR_MS), key=lambda letter: letter.at_ms)
    if promotion is not None:
        facts.promotions = {promotion: facts.promotions.get(promotion, Promotion(promotion))}
    else:
        facts.promotions = {each.id: each for each in facts.promotions.values() if _recent(each, now_ms)}
    _read_reports(settings, facts)
    facts.promotions = {each.id: each for each in facts.promotions.values() if each.is_known}
    return facts


def _recent(promotion: Promotion, now_ms: int) -> bool:
    times = (promotion.started_at_ms, promotion.expires_at_ms, promotion.last_told_ms)
    return any(at_ms is not None and at_ms > now_ms - DAY_MS for at_ms in times)


def _read_group(settings: Settings, facts: Facts) -> None:
    admin, places = admin_client(settings), partitions_of(settings, *DECIDED)
    facts.group = look_at_group(admin, settings, GROUP, places)
    for place, (begin, end) in log_ranges(admin, places).items():
        position = max(begin, facts.group.committed.get(place, begin))
        if position < end:
            facts.behind[place] = (position, end - position)
    facts.last_commit_ms = newest_record_ms(admin, partitions_of(settings, TASK_CHANGELOG))
    facts.oldest_ms = _first_times(settings, {place: at for place, (at, _) in facts.behind.items()})


def _first_times(settings: Settings, positions: dict[Place, int]) -> dict[Place, int]:
    """The time of the first record at or after each position; none where only markers are left."""
    topics = sorted({topic.removeprefix(settings.topic_prefix) for topic, _ in positions})
    found: dict[Place, int] = {}
    if not topics:
        return found
    with reading(settings, *topics) as reader:
        reader.begin_at(positions)
        for message in reader.to_the_end():
            place = (cast(str, message.topic()), cast(int, message.partition()))
            found.setdefault(place, message.timestamp()[1])
            if len(found) == len(positions):
                break
    return found


def _read_starts(settings: Settings, facts: Facts) -> None:
    mapping = settings.mappings.get(PROMOTION_START)
    for message in _records(settings, facts.at_ms - DAY_MS, PROMOTION_START):
        value = message.value()
        with suppress(InvalidEvent):
            event = parse(PROMOTION_START, value if mapping is None else map_message(mapping, value))
            if not isinstance(event, PromotionStart):
                continue
            known = facts.promotions.setdefault(event.identity, Promotion(event.identity))
            known.started_at_ms = known.started_at_ms or message.timestamp()[1]
            known.wanted = known.wanted or len(event.promotion.skus)


def _read_results(settings: Settings, facts: Facts) -> None:
    for message in _records(settings, 0, PROMOTION_RESULTS):
        with suppress(msgspec.MsgspecError):
            value = message.value() or b""
            identity = msgspec.json.decode(value, type=_Identity).promotion_id
            known = facts.promotions.setdefault(identity, Promotion(identity))
            known.take_results(value, message.timestamp()[1])


def _read_reports(settings: Settings, facts: Facts) -> None:
    for back_ms in BACK_MS:
        wanted = {each.id for each in facts.promotions.values() if each.head is None}
        if not wanted:
            return
        began_ms = min(facts.promotions[each].began_ms for each in wanted)
        since_ms = began_ms if back_ms is None else facts.at_ms - back_ms
        for message in _records(settings, since_ms, RECONCILIATION_REPORTS):
            if (cast(Any, message.key()) or b"").decode(errors="replace") in wanted:
                with suppress(msgspec.MsgspecError):
                    value = message.value() or b""
                    head = decode_head(value)
                    facts.promotions[head.promotion_id].take_report(head, value, message.timestamp()[1])


def _records(settings: Settings, since_ms: int, topic: str) -> Iterable[Message]:
    with reading(settings, topic) as reader:
        reader.skip_to(since_ms)
        yield from reader.to_the_end()


class _Identity(msgspec.Struct, rename="camel"):
    promotion_id: str
