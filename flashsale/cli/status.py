"""`flashsale status`: how everything stands, and at its end what needs a person."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import msgspec
import typer
from confluent_kafka import KafkaException

from flashsale.cli.console import complain, connected, print_table, say, say_json, say_state, write
from flashsale.status.report import status_report
from schemas.status import PromotionStatus, StatusReport, WorkerStatus
from schemas.times import milliseconds
from streams.settings import NoBrokerError, Settings
from streams.system import now_ms

EVERY_S = 2.0
CLEAR = b"\x1b[H\x1b[2J"
"""To the corner, and erase: ECMA-48."""

UNKNOWN = "?"


def status(
    promotion: Annotated[
        str | None, typer.Argument(help="Only this promotion, with each of its SKUs.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Again every 2 s, until Ctrl-C.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="As one JSON object (schemas/json/status.json).")
    ] = False,
) -> int:
    """Print how everything stands; 1 when something needs a person. Raises ConfigurationError."""
    settings = connected()
    show = _print_json if json else print_text
    report = status_report(settings, now_ms, promotion)
    try:
        while watch:
            if sys.stdout.isatty() and not json:
                write(CLEAR)
            show(report)
            report = _next_report(settings, promotion)
    except KeyboardInterrupt:
        return int(bool(report.attention))
    show(report)
    if promotion is not None and not report.promotions:
        complain(f"Nothing is known of {promotion}: check the name.")
        return 1
    return int(bool(report.attention))


def _next_report(settings: Settings, promotion: str | None) -> StatusReport:
    """The one after a pause. Who watches goes on watching while brokers are away, which is said each time."""
    while True:
        time.sleep(EVERY_S)
        try:
            return status_report(settings, now_ms, promotion)
        except NoBrokerError as error:
            complain(str(error))
        except KafkaException as failure:
            complain(f"Kafka refused: {failure.args[0].str()}.")


def _print_json(report: StatusReport) -> None:
    say_json(msgspec.json.encode(report).decode())


def print_text(report: StatusReport) -> None:
    """The report for people, what needs one at its end. Raises ReaderLeft."""
    say(f"{report.at}: {_workers(report)}")
    if report.clock_ahead_seconds is not None:
        ahead_s = report.clock_ahead_seconds
        say(
            f"This machine's clock is {duration(abs(ahead_s))} {'ahead of' if ahead_s > 0 else 'behind'} "
            "the brokers'. All times here are the brokers'."
        )
    say("")
    _print_promotions(report.promotions)
    _print_waiting(report)
    _print_owners(report)
    for each in report.attention:
        say_state(each.severity, f"{each.subject}: {each.problem} -> {each.remedy}")
    if not report.attention:
        say("Nothing needs a person.")


def _workers(report: StatusReport) -> str:
    group, count = report.group, len(report.group.workers)
    told = f"{count} worker{'' if count == 1 else 's'}, {group.tasks} tasks"
    if group.last_commit_at is None:
        return f"{told}, nothing was decided yet"
    ago_ms = milliseconds(report.at) - milliseconds(group.last_commit_at)
    return f"{told}, last decision {duration(ago_ms / 1_000)} ago"


def _print_promotions(promotions: list[PromotionStatus]) -> None:
    columns = (
        "promotion",
        "status",
        "SKUs",
        "reserved",
        "sold",
        "left",
        "refused",
        "drift",
        "time left",
        "figures of",
    )
    rows = [
        (
            each.promotion_id,
            each.status,
            _skus(each),
            *map(_number, (each.reserved, each.consumed, each.left, each.rejected_units, each.drift)),
            "" if each.seconds_left is None else duration(each.seconds_left),
            each.figures_of or "no report yet",
        )
        for each in promotions
    ]
    if rows:
        print_table(columns, rows, numbers=columns[2:9])
    else:
        say("No promotion to show.")
    for each in promotions:
        _print_lines(each)
    say("")


def _print_lines(promotion: PromotionStatus) -> None:
    if not promotion.lines:
        return
    columns = ("SKU", "reserved", "sold", "left", "released", "refused", "drift", "why not")
    rows = [
        (
            line.sku,
            *map(
                _number,
                (line.reserved, line.consumed, line.left, line.released, line.rejected_units, line.drift),
            ),
            line.reason or "",
        )
        for line in promotion.lines
    ]
    say("")
    print_table(columns, rows, numbers=columns[1:7])


def _skus(promotion: PromotionStatus) -> str:
    refused = f" ({promotion.refused_skus:,} refused)" if promotion.refused_skus else ""
    return f"{promotion.skus:,}{refused}"


def _print_waiting(report: StatusReport) -> None:
    rows = [
        (each.topic, f"{each.behind:,}", "" if each.seconds_behind is None else duration(each.seconds_behind))
        for each in report.topics
        if each.behind
    ]
    if rows:
        print_table(("topic", "to be decided", "the oldest for"), rows, numbers=("to be decided",))
    else:
        say("Nothing waits to be decided.")
    say(_fluent(report))
    letters = report.dead_letters
    if letters.last_hour:
        each = ", ".join(f"{many:,} {reason}" for reason, many in sorted(letters.reasons.items()))
        say(f"Dead letters of the last hour: {each}.")
    say("")


def _fluent(report: StatusReport) -> str:
    fluent = report.fluent
    if fluent.oldest_asked_at is None:
        told = "Fluent has answered every request"
    else:
        waits_ms = milliseconds(report.at) - milliseconds(fluent.oldest_asked_at)
        told = (
            f"Fluent: {fluent.unanswered:,} requests without an answer, "
            f"the oldest for {duration(waits_ms / 1_000)}"
        )
    if fluent.breaker is None:
        return f"{told}."
    queue = f"{fluent.queued:,} queued, {fluent.in_flight:,} in flight"
    return f"{told}. Breaker {fluent.breaker}, {queue} some seconds ago."


def _print_owners(report: StatusReport) -> None:
    rows = [
        (worker.member, worker.host, tasks, since)
        for worker in report.group.workers
        for tasks, since in _owned(report.at, worker)
    ]
    if rows:
        print_table(("worker", "host", "tasks", "for"), rows)
        say("")


def _owned(at: str, worker: WorkerStatus) -> list[tuple[str, str]]:
    """A worker's tasks, those together that it has had for equally long."""
    since: dict[str, list[str]] = {"": []} if not worker.tasks else {}
    for task, moment in zip(worker.tasks, worker.since, strict=True):
        ago = "" if moment is None else duration((milliseconds(at) - milliseconds(moment)) / 1_000)
        since.setdefault(ago, []).append(str(task))
    return [(" ".join(tasks), ago) for ago, tasks in since.items()]


def _number(figure: int | None) -> str:
    return UNKNOWN if figure is None else f"{figure:,}"


def duration(seconds: float) -> str:
    """`3 s`, `12 min`, `2 h 5 min`, `3 d 4 h`: as exact as anybody needs it."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, hours = whole // 60, whole // 3_600
    if hours == 0:
        return f"{minutes} min"
    if hours < 24:
        return f"{hours} h {minutes % 60} min"
    return f"{hours // 24} d {hours % 24} h"
