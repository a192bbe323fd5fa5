"""What needs a person, most urgent first, each with its remedy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from flashsale.admin.rules import counted
from flashsale.dead_letters.letter import DeadLetter
from flashsale.status.backlog import SLOW_S, backlog, lost
from flashsale.status.gather import Facts
from flashsale.status.promotions import Promotion
from schemas.reasons import RECOMMENDATIONS, Reason
from schemas.status import Attention, WorkerStatus
from schemas.topics import FLUENT_REQUESTS, SKU_COMMANDS
from streams.settings import ReservationConfig, Settings

NAMED = 5
"""So many SKUs are named in one line."""

NAMED_ERRORS = 3

UNKNOWN_REASON = "find out who else writes to promotion-results: the reason is none of ours"

OVER = (Reason.ENDED, Reason.EXPIRED)
"""Refusals that somebody wanted: the promotion was over before it began."""

REPORTED_LATE_S = 90
"""A report comes once in `reconciliationIntervalSeconds`; until then a status may be an old one."""


def attention(settings: Settings, facts: Facts) -> Iterator[Attention]:
    """In the order in which somebody should look at them."""
    yield from _workers(settings, facts)
    yield from lost(settings, facts)
    yield from backlog(settings, facts)
    yield from _fluent(settings, facts)
    promotions = sorted(facts.promotions.values(), key=lambda each: each.id)
    for promotion in promotions:
        yield from _promotion(promotion, settings.config, facts.at_ms)
    for promotion in promotions:
        yield from _difference(promotion)
    yield from _dead_letters(facts)


def _error(subject: str, problem: str, remedy: str) -> Attention:
    return Attention(severity="error", subject=subject, problem=problem, remedy=remedy)


def _warning(subject: str, problem: str, remedy: str) -> Attention:
    return Attention(severity="warning", subject=subject, problem=problem, remedy=remedy)


def _workers(settings: Settings, facts: Facts) -> Iterator[Attention]:
    members = facts.waiting.group.members
    owned = {
        partition
        for member in members
        for topic, partition in member.partitions
        if topic == settings.prefixed(SKU_COMMANDS)
    }
    if not members:
        busy = any(each.is_open for each in facts.promotions.values()) or any(facts.waiting.behind)
        tell = _error if busy else _warning
        yield tell(
            "workers",
            "none is in the group: nothing is decided",
            "start `flashsale worker`; one that runs says on /readyz what it waits for",
        )
    elif len(owned) < settings.config.partitions:
        lacking = settings.config.partitions - len(owned)
        yield _error(
            "workers",
            f"{lacking:,} of {settings.config.partitions:,} tasks have no owner just now",
            "nothing while the workers share the tasks anew, which takes seconds; else look at their logs",
        )


def _fluent(settings: Settings, facts: Facts) -> Iterator[Attention]:
    workers = facts.workers(settings)
    count, oldest_ms = facts.unanswered(settings.prefixed(FLUENT_REQUESTS))
    paused = sum(
        worker.breaker not in (None, "closed") and bool(count or worker.queued or worker.in_flight)
        for worker in workers
    )  # a breaker stays open until something is asked, though Fluent may have recovered long ago
    breaker = f"{_of(paused, workers)} because it keeps failing" if paused else ""
    late_s = 0.0 if oldest_ms is None or not workers else (facts.at_ms - oldest_ms) / 1_000
    problem = f"{counted(count, 'request')} without an answer, the oldest for {late_s:,.0f} s"
    if late_s <= max(SLOW_S, 2 * settings.config.fluent_ask_again_seconds):
        problem = ""
    if problem or breaker:
        yield _error(
            "Fluent",
            "; ".join(filter(None, (problem, breaker))),
            "run `flashsale check`: it says whether Fluent can be reached and the login is valid",
        )


def _of(paused: int, workers: Sequence[WorkerStatus]) -> str:
    return f"{paused:,} of {counted(len(workers), 'worker')} ask it for nothing"


def _promotion(promotion: Promotion, config: ReservationConfig, now_ms: int) -> Iterator[Attention]:
    yield from _refused(promotion)
    if promotion.status == "PENDING" and promotion.started_at_ms is not None:
        waits_s = (now_ms - promotion.started_at_ms) / 1_000
        if waits_s > config.hold_timeout_seconds:
            problem = f"it was started {waits_s:,.0f} s ago, and its units are not set aside yet"
            yield _error(promotion.id, problem, "run `flashsale check`, then look at the workers' logs")
    if promotion.waiting_for:
        yield from _does_not_close(promotion)
    elif promotion.is_open and promotion.expires_at_ms is not None:
        over_s = (now_ms - promotion.expires_at_ms) / 1_000
        if over_s > config.close_timeout_seconds + config.claim_grace_seconds + REPORTED_LATE_S:
            yield _error(
                promotion.id,
                f"its time was over {over_s:,.0f} s ago, and it is {promotion.status}",
                "send promotion-end where autoReleaseEnabled is false; else look at the workers' logs",
            )


def _does_not_close(promotion: Promotion) -> Iterator[Attention]:
    """By what its SKUs wait for; one that waits for the shop's booking of what it sold needs nobody."""
    for what, skus in sorted(promotion.waiting_for.items()):
        if what == "BACKLOG":
            yield _error(
                promotion.id,
                f"orders from before its end are not decided yet: {_named(skus)}",
                "see which partitions wait, above or as backlog_waits in the workers' logs "
                "(docs/operations.md, 'What \"late\" means')",
            )
        elif what != "BOOKING":
            answer = "answered about the hold" if what == "HOLD" else "confirmed the end"
            yield _error(
                promotion.id,
                f"Fluent has not {answer} of {_named(skus)}",
                f"run `flashsale check`, then `flashsale reconcile {promotion.id}`",
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
        problem = f"not set aside: {_named(skus)}. {reason}: {_errors(promotion, skus)}"
        known = RECOMMENDATIONS[Reason(reason)] if reason in Reason.__members__ else UNKNOWN_REASON
        remedy = promotion.refused[skus[0]].recommendation or known
        yield _error(promotion.id, problem, remedy)


def _errors(promotion: Promotion, skus: list[str]) -> str:
    """What Fluent said: one SKU is not there, of another there are too few."""
    first: dict[str, str] = {}
    for sku in skus:
        first.setdefault(promotion.refused[sku].error, sku)
    if len(first) == 1:
        return next(iter(first))
    shown = [f"{sku}: {error}" for error, sku in first.items()]
    return "; ".join((*shown[:NAMED_ERRORS], *(["…"] if shown[NAMED_ERRORS:] else [])))


def _difference(promotion: Promotion) -> Iterator[Attention]:
    """What a report proves: that units went nowhere, or that Fluent holds something else."""
    if promotion.head is None:
        return
    if promotion.head.kind == "FINAL":
        lines = promotion.report_lines()
        unbalanced = [line.sku for line in lines if line.reserved != line.consumed + line.released]
        if unbalanced:
            problem = f"reserved is not consumed + released: {_named(unbalanced)}"
            yield _error(promotion.id, problem, "a defect of ours: report it with the FINAL report")
    if not promotion.head.totals.drift:
        return
    drifting = [line.sku for line in promotion.report_lines() if line.drift]
    problem = f"Fluent differs by {promotion.head.totals.drift:,} units, on {_named(drifting)}"
    remedy = f"run `flashsale reconcile {promotion.id}`: it names what differs and why"
    yield _warning(promotion.id, problem, remedy)


def _dead_letters(facts: Facts) -> Iterator[Attention]:
    letters = facts.letters_of_the_hour
    if letters:
        counts = ", ".join(f"{many:,} {reason}" for reason, many in sorted(_reasons(letters).items()))
        least = "at least " if facts.letters_cut else ""
        yield _warning(
            "dead letters",
            f"turned away within the last hour: {least}{counts}",
            "see `flashsale dead-letters list --limit 20`",
        )


def _reasons(letters: list[DeadLetter]) -> Counter[str]:
    return Counter(letter.reason for letter in letters)


def _named(skus: Iterable[str]) -> str:
    names = list(skus)
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"
