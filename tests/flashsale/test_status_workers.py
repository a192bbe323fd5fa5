"""`flashsale status`: what workers say about themselves, and what of it needs a person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from flashsale.admin.group import Group
from flashsale.cli.status import print_text
from flashsale.notes import Note
from flashsale.status.report import report_of, status_report
from schemas.times import iso_utc
from streams.settings import load_settings
from streams.system import now_ms
from tests.flashsale.test_attention import NOW_MS, SETTINGS, TASKS, facts, member, needed
from tests.support.kafka import KafkaUnderTest
from tests.support.system import system, wait_until


def telling(*told: Note, members: int = 1) -> Group:
    """A group whose members share the tasks; these notes stand beside the offsets of its first tasks."""
    shares = [range(number, TASKS, members) for number in range(members)]
    found = tuple(member(*share, name=f"w-{number}") for number, share in enumerate(shares, 1))
    notes = {("x-fluent-requests", task): note for task, note in enumerate(told)}
    return Group("STABLE", found, {}, notes)


def note(of: str = "w-1", **more: Any) -> Note:
    return structs.replace(Note(of, NOW_MS - 180_000, NOW_MS - 2_000, "closed", 0, 0), **more)


def test_intake_that_a_worker_has_stopped_is_told_instead_of_what_waits_because_of_it() -> None:
    place = ("x-order-placed", 0)
    waits = {"behind": {place: (40, 900)}, "oldest_ms": {place: NOW_MS - 45_000}}
    group = telling(note(intake_stopped=True), note("w-2"), members=2)
    [found] = needed(facts(group=group, **waits))
    assert (found.subject, found.problem.split(":")[0]) == ("intake", "1 of 2 workers stopped it")
    other = ("x-order-placed", 1)
    both = {"behind": {place: (40, 900), other: (40, 900)}, "oldest_ms": {other: NOW_MS - 45_000}}
    subjects = [each.subject for each in needed(facts(group=group, **both))]
    assert subjects == ["intake", "order-placed"], "a partition of the other worker stands still, too"
    [found] = needed(facts(group=telling(note("gone", intake_stopped=True)), **waits))
    assert found.subject == "order-placed", "the note is a former owner's"


@pytest.mark.parametrize("breaker", ["open", "half-open"])
@pytest.mark.parametrize("waits", [{"queued": 1}, {"in_flight": 1}])
def test_a_breaker_that_is_not_closed_is_told_where_requests_wait(
    breaker: Any, waits: dict[str, int]
) -> None:
    notes = note("w-1", **waits), note("w-2", breaker=breaker, **waits)
    [found] = needed(facts(group=telling(*notes, members=2)))
    assert (found.subject, found.problem) == (
        "Fluent",
        "1 of 2 workers ask it for nothing because it keeps failing",
    )
    idle = telling(notes[0], note("w-2", breaker=breaker), members=2)
    assert needed(facts(group=idle)) == [], "what waits is another worker's"
    [found] = needed(facts(group=idle, asked={("P", "A"): NOW_MS - 45_000}))
    assert "the oldest for 45 s; 1 of 2 workers" in found.problem


def test_who_owns_what_since_when_and_how_fluent_stands_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = note("w-1", queued=3, in_flight=1), note("w-2", queued=4, since_ms=NOW_MS - 7_000)
    group = telling(first, second, note(since_ms=None), members=2)
    report = report_of(SETTINGS, facts(group=group), with_lines=False)
    one, other = report.group.workers
    assert one.since[:3] == [iso_utc(NOW_MS - 180_000), None, None]
    assert (other.since[0], other.told_at) == (iso_utc(NOW_MS - 7_000), iso_utc(NOW_MS - 2_000))
    assert (report.fluent.breaker, report.fluent.queued, report.fluent.in_flight) == ("closed", 7, 1)
    print_text(report)
    shown = capsys.readouterr().out
    assert (
        "Fluent has answered every request. Breaker closed, 7 queued, 1 in flight some seconds ago." in shown
    )
    rows = [line.split() for line in shown.splitlines() if line.startswith("w-")]
    assert rows[0] == ["w-1", "10.0.0.1", "0", "3", "min"]
    assert ["w-2", "10.0.0.1", "1", "7", "s"] in rows


def test_since_when_a_worker_has_a_task_is_kept_while_it_stays_and_new_where_it_goes(
    kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path
) -> None:
    stock, patient = {"A": {"LOC-1": 9}}, {"kafkaSessionTimeoutMs": 20_000}
    with system(kafka.bootstrap, topic_prefix, tmp_path, stock, **patient) as sale:
        settings, first = load_settings(sale.environment()), sale.start_worker()

        def owned(workers: int) -> dict[int, tuple[str, str]]:
            """By task: its worker and since when, once so many workers say so of all of them."""
            found = status_report(settings, now_ms).group.workers
            each = {
                task: (worker.member, since or "")
                for worker in found
                for task, since in zip(worker.tasks, worker.since, strict=True)
            }
            said = len(each) == settings.config.partitions and all(since for _, since in each.values())
            return each if said and len({member for member, _ in each.values()}) == workers else {}

        alone = wait_until(lambda: owned(1), "the first worker says since when", 90)
        sale.start_worker()
        shared = wait_until(lambda: owned(2), "both workers say so", 90)
        stayed = {task: each for task, each in shared.items() if each[0] == alone[task][0]}
        assert stayed and all(alone[task] == each for task, each in stayed.items())
        newest = max(since for _, since in alone.values())
        assert all(since > newest for task, (_, since) in shared.items() if task not in stayed)
        assert first.terminate() == 0
        left = wait_until(lambda: owned(1), "the second has them all", 90)
        assert all(left[task] == each for task, each in shared.items() if task not in stayed)
        assert all(left[task][1] > shared[task][1] for task in stayed)
