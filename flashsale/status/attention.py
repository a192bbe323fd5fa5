"""What needs a person, most urgent first, each with its remedy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from flashsale.dead_letters.letter import DeadLetter
from flashsale.status.gather import MINUTE_MS, Facts
from flashsale.status.promotions import Promotion
from schemas.reasons import RECOMMENDATIONS, Reason
from schemas.status import Attention
from schemas.topics import FLUENT_REQUESTS, INPUTS, SKU_COMMANDS, STAGES
from streams.settings import ReservationConfig, Settings

SLOW_S = 30
"""Records that wait for longer than this are not on their way any more."""

NAMED = 5
"""So many SKUs are named in one line."""

OVER = (Reason.ENDED, Reason.EXPIRED)
"""Refusals that somebody wanted: the promotion was over before it began."""

REPORTED_LATE_S = 90
"""A report comes once in `reconciliationIntervalSeconds`; until then a status may be an old one."""


def attention(settings: Settings, facts: Facts) -> Iterator[Attention]:
    """In the order in which somebody should look at them."""
    yield from _workers(settings, facts)
    yield from _backlog(settings, facts)
    yield from _fluent(settings, facts)
    promotions = sorted(facts.promotions.values(), key=lambda each: each.id)
    for promotion in promotions:
        yield from _promotion(promotion, settings.config, facts.at_ms)
    for promotion in promotions:
        yield from _drift(promotion)
    yield from _dead_letters(facts.letters)


def _error(subject: str, problem: str, remedy: str) -> Attention:
    return Attention(severity="error", subject=subject, problem=problem, remedy=remedy)


def _warning(subject: str, problem: str, remedy: str) -> Attention:
    return Attention(severity="warning", subject=subject, problem=problem, remedy=remedy)


def _workers(settings: Settings, facts: Facts) -> Iterator[Attention]:
    owned = {
        partition
        for member in facts.group.members
        for topic, partition in member.partitions
        if topic == settings.prefixed(SKU_COMMANDS)
    }
    if not facts.group.members:
        busy = any(each.is_open for each in facts.promotions.values()) or any(facts.behind)
        tell = _error if busy else _warning
        yield tell("workers", "none runs: nothing is decided", "start `flashsale worker`")
    elif len(owned) < settings.config.partitions:
        lacking = settings.config.partitions - len(owned)
        yield _error(
            "workers",
            f"{lacking:,} of {settings.config.partitions:,} tasks have no owner just now",
            "nothing while the workers share the tasks anew, which takes seconds; else look at their logs",
        )


def _backlog(settings: Settings, facts: Facts) -> Iterator[Attention]:
    if intake_looks_stopped(settings, facts):
        limit = settings.config.dead_letter_limit_per_minute
        yield _error(
            "intake",
            f"it has stopped: more was turned away than deadLetterLimitPerMinute ({limit:,}) allows",
            "see `flashsale dead-letters list --since 1h`; correct the producer or inputMapping, then start "
            "the workers again (docs/operations.md, 'Intake that has stopped')",
        )
        return
    for topic in (*INPUTS, *STAGES):
        count, oldest_ms = facts.waiting(settings.prefixed(topic))
        if oldest_ms is None or (late_s := (facts.at_ms - oldest_ms) / 1_000) <= SLOW_S:
            continue
        problem = f"{count:,} records wait to be decided, the oldest for {late_s:,.0f} s"
        if facts.last_commit_ms is None or facts.at_ms - facts.last_commit_ms > SLOW_S * 1_000:
            remedy = "nothing is decided: look at the workers' logs, and run `flashsale check`"
        else:
            remedy = "start more workers; one SKU alone cannot be shared between them"
        yield _error(topic, problem, remedy)


def intake_looks_stopped(settings: Settings, facts: Facts) -> bool:
    """Whether records wait in an input topic right behind more dead letters than the limit allows."""
    limit = settings.config.dead_letter_limit_per_minute
    if not limit or not facts.letters:
        return False
    waiting = {
        (topic.removeprefix(settings.topic_prefix), partition): position
        for (topic, partition), (position, _) in facts.behind.items()
    }
    stopped_at = [
        each for each in facts.letters if waiting.get((each.topic, each.partition)) == each.offset + 1
    ]
    return any(
        sum(last.at_ms - MINUTE_MS <= each.at_ms <= last.at_ms for each in facts.letters) > limit
        for last in stopped_at
    )


def _fluent(settings: Settings, facts: Facts) -> Iterator[Attention]:
    count, oldest_ms = facts.waiting(settings.prefixed(FLUENT_REQUESTS))
    patience_s = max(SLOW_S, 2 * settings.config.fluent_ask_again_seconds)
    if oldest_ms is not None and facts.group.members and facts.at_ms - oldest_ms > patience_s * 1_000:
        late_s = (facts.at_ms - oldest_ms) / 1_000
        yield _error(
            "Fluent",
            f"{count:,} requests are not answered, the oldest for {late_s:,.0f} s",
            "run `flashsale check`: it says whether Fluent can be reached and the login is valid",
        )


def _promotion(promotion: Promotion, config: ReservationConfig, now_ms: int) -> Iterator[Attention]:
    yield from _refused(promotion)
    if promotion.status == "PENDING" and promotion.started_at_ms is not None:
        waits_s = (now_ms - promotion.started_at_ms) / 1_000
        if waits_s > config.hold_timeout_seconds:
            problem = f"it was started {waits_s:,.0f} s ago, and its units are not set aside yet"
            yield _error(promotion.id, problem, "run `flashsale check`, then look at the workers' logs")
    if promotion.waiting_for:
        yield _error(
            promotion.id,
            f"Fluent has not confirmed the end of {_named(promotion.waiting_for)}",
            f"run `flashsale check`, then `flashsale reconcile {promotion.id}`",
        )
    elif promotion.is_open and promotion.expires_at_ms is not None:
        over_s = (now_ms - promotion.expires_at_ms) / 1_000
        if over_s > config.close_timeout_seconds + config.claim_grace_seconds + REPORTED_LATE_S:
            yield _error(
                promotion.id,
                f"its time was over {over_s:,.0f} s ago, and it is {promotion.status}",
                "send promotion-end where autoReleaseEnabled is false; else look at the workers' logs",
            )


def _refused(promotion: Promotion) -> Iterator[Attention]:
    """What could not be set aside, as long as something can be done about it."""
    if promotion.status == "CLOSED":
        return
    by_reason: dict[str, list[str]] = {}
    for sku, refusal in promotion.refused.items():
        if refusal.reason in OVER:
            continue
        by_reason.setdefault(refusal.reason, []).append(sku)
    for reason, skus in sorted(by_reason.items()):
        error = promotion.refused[skus[0]].error
        problem = f"not set aside: {_named(skus)}. {reason}: {error}"
        remedy = promotion.refused[skus[0]].recommendation or RECOMMENDATIONS[Reason(reason)]
        yield _error(promotion.id, problem, remedy)


def _drift(promotion: Promotion) -> Iterator[Attention]:
    if promotion.head is None or not promotion.head.totals.drift:
        return
    drifting = [line.sku for line in promotion.report_lines() if line.drift]
    problem = f"Fluent differs by {promotion.head.totals.drift:,} units, on {_named(drifting)}"
    remedy = f"run `flashsale reconcile {promotion.id}`: it names what differs and why"
    yield _warning(promotion.id, problem, remedy)


def _dead_letters(letters: list[DeadLetter]) -> Iterator[Attention]:
    if letters:
        counts = ", ".join(f"{many:,} {reason}" for reason, many in sorted(_reasons(letters).items()))
        yield _warning(
            "dead letters",
            f"turned away within the last hour: {counts}",
            "see `flashsale dead-letters list --since 1h`",
        )


def _reasons(letters: list[DeadLetter]) -> Counter[str]:
    return Counter(letter.reason for letter in letters)


def _named(skus: Iterable[str]) -> str:
    names = list(skus)
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"
