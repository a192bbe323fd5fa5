"""Reads what a status is made of: logs and the group, promotions, dead letters, requests to Fluent."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
from confluent_kafka import Message

from flashsale.admin.group import Group, look_at_notes
from flashsale.admin.topics import GROUP
from flashsale.dead_letters.letter import DeadLetter, newest_dead_letters
from flashsale.status.asked import asked_again
from flashsale.status.clock import ahead_of_brokers
from flashsale.status.promotions import Promotion, decode_figures, decode_report
from flashsale.status.waiting import Waiting, what_waits
from flashsale.status.workers import workers_of
from schemas.invalid import InvalidEvent
from schemas.parsing import parse
from schemas.promotions import PromotionStart
from schemas.status import WorkerStatus
from schemas.times import milliseconds
from schemas.topics import PROMOTION_RESULTS, PROMOTION_START, RECONCILIATION_REPORTS, SALE_FIGURES
from schemas.unreadable import UNREADABLE
from streams.reader import reading
from streams.settings import Settings
from streams.settings.mapping import map_message

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

BACK_MS = (10 * MINUTE_MS, 2 * HOUR_MS, None)
"""How far back reports are read, until every promotion that is shown has one: they are published again and
again while a sale runs, with all their lines, and only the newest is wanted."""

CLOCKS_DIFFER_MS = MINUTE_MS
"""Figures are stamped by the workers, and what they say is of the brokers' time."""

MOST_LETTERS = 5_000
"""Of a partition of `dead-letters`, the newest: a flood of a million is not read to say that there is one."""


@dataclass
class Facts:
    """What was read."""

    at_ms: int
    waiting: Waiting = field(default_factory=Waiting)
    clock_ahead_ms: int = 0
    """How far this machine's clock is ahead of the brokers', which `at_ms` goes by."""
    asked: dict[tuple[str, str], int] = field(default_factory=dict)
    """By promotion and SKU: since when Fluent is asked the same again and again."""
    promotions: dict[str, Promotion] = field(default_factory=dict)
    letters: list[DeadLetter] = field(default_factory=list)
    """The newest, oldest first, without keys and values."""
    letters_cut: bool = False
    """Whether there are more of the last hour than were read."""

    @property
    def letters_of_the_hour(self) -> list[DeadLetter]:
        """What was turned away within the last hour."""
        return [letter for letter in self.letters if letter.at_ms > self.at_ms - HOUR_MS]

    def workers(self, settings: Settings) -> list[WorkerStatus]:
        """The workers, by their tasks."""
        return workers_of(settings, self.waiting.group)

    def unanswered(self, topic: str) -> tuple[int, int | None]:
        """How many requests of `topic`, Fluent's on the broker, have no answer, and since when the oldest."""
        count, oldest_ms = self.waiting.of(topic)
        times = [*self.asked.values(), *([] if oldest_ms is None else [oldest_ms])]
        return max(count, len(self.asked)), min(times, default=None)


def gather(settings: Settings, clock: Callable[[], int], promotion: str | None = None) -> Facts:
    """Read everything, of the promotions the one that is named, or those that are open or of the last day.

    `clock` is this machine's (Unix ms). Raises ConfigurationError where a topic is missing or the broker
    falls silent, and KafkaException.
    """
    now_ms, waiting = clock(), what_waits(settings)
    ahead_ms = _ahead(settings, clock, waiting.group)
    if ahead_ms:
        now_ms, waiting = clock(), what_waits(settings)  # finding out took seconds
    now_ms -= ahead_ms
    facts = Facts(now_ms, waiting, ahead_ms, asked_again(settings, now_ms))
    _read_starts(settings, facts)
    _read_results(settings, facts)
    most = max(MOST_LETTERS, settings.config.dead_letter_limit_per_minute)
    facts.letters, facts.letters_cut = newest_dead_letters(settings, most, now_ms - HOUR_MS)
    if promotion is not None:
        facts.promotions = {promotion: facts.promotions.get(promotion, Promotion(promotion))}
    _read_reports(settings, facts)
    _read_figures(settings, facts)
    facts.promotions = {
        each.id: each
        for each in facts.promotions.values()
        if each.is_known and (each.id == promotion or each.is_open or _recent(each, now_ms))
    }
    return facts


def _ahead(settings: Settings, clock: Callable[[], int], group: Group) -> int:
    return ahead_of_brokers(clock, group, lambda: look_at_notes(settings, GROUP, group.notes).values())


def _recent(promotion: Promotion, now_ms: int) -> bool:
    times = (promotion.started_at_ms, promotion.expires_at_ms, promotion.last_told_ms)
    return any(at_ms is not None and at_ms > now_ms - DAY_MS for at_ms in times)


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
        with suppress(*UNREADABLE):
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
                with suppress(*UNREADABLE):
                    page = decode_report(message.value() or b"")
                    if known := facts.promotions.get(page.promotion_id):
                        known.take_report(page, message.timestamp()[1])


def _read_figures(settings: Settings, facts: Facts) -> None:
    """What has changed since the newest report, or since the start where there is none."""
    still_open = {each.id: each for each in facts.promotions.values() if each.is_open}
    if not still_open:
        return
    since_ms = min(map(_figures_of_ms, still_open.values()))
    for message in _records(settings, since_ms - CLOCKS_DIFFER_MS, SALE_FIGURES):
        with suppress(*UNREADABLE):
            figures = decode_figures(message.value() or b"")
            if figures.promotion_id in still_open:
                still_open[figures.promotion_id].take_figures(figures)


def _figures_of_ms(promotion: Promotion) -> int:
    return promotion.began_ms if promotion.head is None else milliseconds(promotion.head.generated_at)


def _records(settings: Settings, since_ms: int, topic: str) -> Iterable[Message]:
    with reading(settings, topic) as reader:
        reader.skip_to(since_ms)
        yield from reader.to_the_end()


class _Identity(msgspec.Struct, rename="camel"):
    promotion_id: str
