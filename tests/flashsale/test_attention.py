"""What needs a person, from facts: the order, the words and the remedies of `flashsale status`."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from msgspec import structs
from msgspec.json import encode

from flashsale.admin.group import Group, Member
from flashsale.cli.status import duration, print_text
from flashsale.dead_letters.letter import DeadLetter
from flashsale.notes import Note
from flashsale.status.attention import attention
from flashsale.status.gather import Facts
from flashsale.status.promotions import Promotion, decode_head
from flashsale.status.report import report_of
from flashsale.status.waiting import Waiting
from schemas.documents import json_schemas
from schemas.status import Attention
from schemas.times import iso_utc
from streams.settings import load_settings
from tests.flashsale.test_report import line, pages, values

NOW_MS = 1_764_320_400_000
SETTINGS = load_settings({"KAFKA_BOOTSTRAP_SERVERS": "nowhere:1", "TOPIC_PREFIX": "x-"})
TASKS = SETTINGS.config.partitions


def member(*tasks: int, name: str = "w-1") -> Member:
    return Member(name, "10.0.0.1", tuple(("x-sku-commands", task) for task in tasks))


def facts(**more: Any) -> Facts:
    """All is well, but for `more`."""
    waiting = Waiting(Group("STABLE", (member(*range(TASKS)),), {}), last_commit_ms=NOW_MS - 500)
    of_logs = {name: more.pop(name) for name in list(more) if hasattr(waiting, name)}
    return replace(Facts(NOW_MS, replace(waiting, **of_logs)), **more)


def needed(seen: Facts, **config: Any) -> list[Attention]:
    changed = replace(SETTINGS, config=SETTINGS.config.model_copy(update=config))
    return list(attention(changed, seen))


def running(identity: str = "P", status: str = "ACTIVE", **more: Any) -> Promotion:
    promotion = Promotion(identity)
    of_line = {"drift": more.pop("drift", 0)}
    if "waits_for" in more:
        of_line["waitsFor"] = more.pop("waits_for")
    kind = "FINAL" if status == "CLOSED" else "INTERIM"
    for value in values(pages(1, [line("A", 3, **of_line)], kind=kind, **{"status": status, **more})):
        promotion.take_report(decode_head(value), value, NOW_MS)
    return promotion


def results(promotion: Promotion, expires_at_ms: int) -> Promotion:
    reserved = {
        "promotionId": promotion.id,
        "sku": "A",
        "success": True,
        "reservationRef": "FS-P-A",
        "quantity": 1_500,
        "expiresAt": iso_utc(expires_at_ms),
    }
    page = {"promotionId": promotion.id, "reservations": [reserved], "summary": {"success": 1, "errors": 0}}
    promotion.take_results(json.dumps({**page, "page": 1, "pages": 1}).encode(), NOW_MS)
    return promotion


def letter(offset: int, ago_ms: int = 1_000) -> DeadLetter:
    return DeadLetter(
        "order-placed", 0, offset, "INVALID", "no", "mend it", "", NOW_MS - ago_ms, (0, offset), None, b""
    )


def test_nothing_to_do_is_one_line_and_exit_0(capsys: pytest.CaptureFixture[str]) -> None:
    seen = facts(promotions={"P": results(running(), NOW_MS + 60_000)})
    assert needed(seen) == []
    print_text(report_of(SETTINGS, seen, with_lines=False))
    assert capsys.readouterr().out.splitlines()[-1] == "Nothing needs a person."


def test_no_worker_is_an_error_while_a_promotion_runs() -> None:
    [found] = needed(facts(group=Group("EMPTY", (), {}), promotions={"P": running()}))
    assert (found.severity, found.subject) == ("error", "workers")


def test_tasks_without_an_owner_are_counted() -> None:
    [found] = needed(facts(group=Group("STABLE", (member(0, 1),), {})))
    assert f"{TASKS - 2} of {TASKS} tasks have no owner" in found.problem


@pytest.mark.parametrize(
    ("committed_ms_ago", "partitions", "remedy"),
    [
        (500, (3, 4), "start more workers"),
        (500, (3,), "A partition that is stuck"),
        (60_000, (3, 4), "nothing is decided"),
    ],
)
def test_records_that_wait_for_long_are_an_error_by_their_age(
    committed_ms_ago: int, partitions: tuple[int, ...], remedy: str
) -> None:
    places = [("x-order-placed", number) for number in partitions]
    times = dict.fromkeys(places, NOW_MS - 95_000)
    late = {"behind": dict.fromkeys(places, (7, 600)), "last_commit_ms": NOW_MS - committed_ms_ago}
    [found] = needed(facts(**late, oldest_ms=times))
    assert found.subject == "order-placed"
    assert found.problem == (
        f"{600 * len(places):,} records wait to be decided, the oldest for 95 s: partition"
        f"{'' if len(places) == 1 else 's'} {', '.join(map(str, partitions))}"
    )
    assert remedy in found.remedy
    assert needed(facts(**late, oldest_ms=dict.fromkeys(places, NOW_MS - 900))) == []


def test_a_transaction_that_stays_open_is_an_error_although_nothing_waits_behind_it() -> None:
    place = ("x-order-placed", 3)
    [found] = needed(facts(held_up={place: (41, NOW_MS - 95_000)}))
    assert found.subject == "order-placed"
    assert found.problem == "a transaction has been open for 95 s and hides up to 41 records: partition 3"
    assert "describe-producers" in found.remedy
    assert needed(facts(held_up={place: (41, NOW_MS - 900)})) == []


@pytest.mark.parametrize(("at", "what"), [(42, "begins at 42"), (3, "ends at 3: it was created again")])
def test_records_that_are_gone_undecided_are_an_error(at: int, what: str) -> None:
    [found] = needed(facts(lost={("x-order-placed", 0): (17, at)}))
    assert found.subject == "order-placed"
    assert found.problem == f"partition 0 was decided up to offset 17, but the log {what}"
    assert "A position that the log no longer holds" in found.remedy


def test_a_changelog_that_is_empty_is_the_most_urgent_of_what_is_lost() -> None:
    found, _ = needed(facts(rows_lost=True, lost={("x-order-placed", 0): (17, 42)}))
    assert found.subject == "flashsale-tasks-changelog"
    assert "The changelog is lost" in found.remedy


def test_fluent_that_does_not_answer_is_named() -> None:
    place = ("x-fluent-requests", 0)
    silent = facts(behind={place: (7, 3)}, oldest_ms={place: NOW_MS - 45_000})
    [found] = needed(silent)
    assert (found.subject, "oldest for 45 s" in found.problem) == ("Fluent", True)
    assert "flashsale check" in found.remedy
    assert needed(facts(behind={place: (7, 3)}, oldest_ms={place: NOW_MS - 5_000})) == []


def test_fluent_that_is_asked_the_same_again_and_again_is_named_although_no_request_waits() -> None:
    seen = facts(asked={("P", "A"): NOW_MS - 45_000, ("P", "B"): NOW_MS - 12_000})
    [found] = needed(seen)
    assert (found.subject, found.problem) == ("Fluent", "2 requests are not answered, the oldest for 45 s")
    shown = report_of(SETTINGS, seen, with_lines=False).fluent
    assert (shown.unanswered, shown.oldest_asked_at) == (2, iso_utc(NOW_MS - 45_000))


def test_a_start_whose_units_are_not_set_aside_in_time_is_named() -> None:
    waiting = Promotion("P", started_at_ms=NOW_MS - 61_000)
    [found] = needed(facts(promotions={"P": waiting}))
    assert (found.subject, "61 s ago" in found.problem) == ("P", True)


@pytest.mark.parametrize(
    ("waits_for", "problem"),
    [
        ("RELEASE", "Fluent has not confirmed the end of A"),
        ("HOLD", "Fluent has not answered about the hold of A"),
        ("BACKLOG", "orders from before its end are not decided yet: A"),
    ],
)
def test_a_close_that_takes_too_long_names_the_skus_and_what_they_wait_for(
    waits_for: str, problem: str
) -> None:
    closing = running(status="CLOSING", waitingFor=["A"], waits_for=waits_for)
    [found] = needed(facts(promotions={"P": closing}))
    assert found.problem == problem
    assert ("flashsale check" in found.remedy) == (waits_for != "BACKLOG")


def test_units_that_wait_until_the_shop_has_booked_them_need_nobody() -> None:
    closing = running(status="CLOSING", waitingFor=["A"], waits_for="BOOKING")
    assert needed(facts(promotions={"P": closing})) == []


def test_a_promotion_that_outlives_its_time_is_named() -> None:
    late = results(running(), NOW_MS - 600_000)
    [found] = needed(facts(promotions={"P": late}))
    assert "its time was over 600 s ago, and it is ACTIVE" in found.problem
    assert needed(facts(promotions={"P": results(running(), NOW_MS - 10_000)})) == []


def test_drift_comes_after_what_is_urgent_and_names_the_command() -> None:
    drifting = running("A-SALE", drift=2)
    waiting = Promotion("Z-SALE", started_at_ms=NOW_MS - 61_000)
    first, second = needed(facts(promotions={"A-SALE": drifting, "Z-SALE": waiting}))
    assert (first.subject, second.subject, second.severity) == ("Z-SALE", "A-SALE", "warning")
    assert "flashsale reconcile A-SALE" in second.remedy


def test_a_final_report_that_does_not_add_up_is_a_defect_to_be_reported() -> None:
    final = Promotion("P")
    for value in values(pages(1, [line("A", 3), line("B", 3, released=7)], promotionId="P")):
        final.take_report(decode_head(value), value, NOW_MS)
    [found] = needed(facts(promotions={"P": final}))
    assert (found.severity, found.problem) == ("error", "reserved is not consumed + released: B")


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
    [found] = needed(facts(group=telling(note("gone", intake_stopped=True)), **waits))
    assert found.subject == "order-placed", "the note is a former owner's"


@pytest.mark.parametrize("breaker", ["open", "half-open"])
def test_a_breaker_that_is_not_closed_is_told_with_or_without_requests_that_wait(breaker: Any) -> None:
    group = telling(note("w-1"), note("w-2", breaker=breaker), members=2)
    [found] = needed(facts(group=group))
    assert (found.subject, found.problem) == (
        "Fluent",
        "1 of 2 workers ask it for nothing because it keeps failing",
    )
    [found] = needed(facts(group=group, asked={("P", "A"): NOW_MS - 45_000}))
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
    assert "Fluent has answered every request. Breaker closed, 7 queued, 1 in flight." in shown
    rows = [line.split() for line in shown.splitlines() if line.startswith("w-")]
    assert rows[0] == ["w-1", "10.0.0.1", "0", "3", "min"]
    assert ["w-2", "10.0.0.1", "1", "7", "s"] in rows


def test_dead_letters_that_were_too_many_to_count_are_at_least_so_many() -> None:
    [found] = needed(facts(letters=[letter(1)], letters_cut=True))
    assert found.problem == "turned away within the last hour: at least 1 INVALID"


def test_the_json_of_every_part_fits_the_schema() -> None:
    place = ("x-order-placed", 0)
    seen = facts(
        behind={place: (40, 900)},
        oldest_ms={place: NOW_MS - 45_000},
        letters=[letter(1)],
        promotions={"P": results(running(drift=1), NOW_MS + 60_000), "Q": Promotion("Q", NOW_MS)},
    )
    report = json.loads(encode(report_of(SETTINGS, seen, with_lines=True)))
    Draft202012Validator(json_schemas()["status"]).validate(report)
    assert [each["promotionId"] for each in report["promotions"]] == ["P", "Q"]
    topics = {each["topic"]: each for each in report["topics"]}
    assert topics["order-placed"]["secondsBehind"] == 45
    assert topics["order-placed"]["decidedUpTo"] == iso_utc(NOW_MS - 45_000)
    assert topics["sku-commands"]["decidedUpTo"] == report["at"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (3_600, "1 h 0 min"),
        (7_500, "2 h 5 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_durations_are_as_exact_as_anybody_needs_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text
