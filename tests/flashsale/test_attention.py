"""What needs a person, from facts: the order, the words and the remedies of `flashsale status`."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from msgspec.json import encode

from flashsale.admin.group import Group, Member
from flashsale.cli.status import duration, print_text
from flashsale.dead_letters.letter import DeadLetter
from flashsale.status.attention import attention
from flashsale.status.gather import Facts
from flashsale.status.promotions import Promotion, decode_report
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
        promotion.take_report(decode_report(value), NOW_MS)
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
    assert (found.subject, found.problem) == ("Fluent", "2 requests without an answer, the oldest for 45 s")
    shown = report_of(SETTINGS, seen, with_lines=False).fluent
    assert (shown.unanswered, shown.oldest_asked_at) == (2, iso_utc(NOW_MS - 45_000))


def test_a_start_whose_units_are_not_set_aside_in_time_is_named() -> None:
    waiting = Promotion("P", started_at_ms=NOW_MS - 61_000)
    [found] = needed(facts(promotions={"P": waiting}))
    assert (found.subject, "61 s ago" in found.problem) == ("P", True)


@pytest.mark.parametrize(
    ("errors", "told"),
    [
        (("no", "no"), "no"),
        (("requested 9, available 2", "no such SKU"), "S0: requested 9, available 2; S1: no such SKU"),
        (("a", "b", "c", "d"), "S0: a; S1: b; S2: c; …"),
    ],
)
def test_what_was_refused_is_told_with_each_cause(errors: tuple[str, ...], told: str) -> None:
    promotion = Promotion("P")
    about = {"promotionId": "P", "success": False, "reason": "INSUFFICIENT_INVENTORY", "recommendation": "x"}
    lines = [{**about, "sku": f"S{number}", "error": error} for number, error in enumerate(errors)]
    page = {"promotionId": "P", "reservations": lines, "summary": {"success": 0, "errors": len(lines)}}
    promotion.take_results(json.dumps({**page, "page": 1, "pages": 1}).encode(), NOW_MS)
    [found] = needed(facts(promotions={"P": promotion}))
    assert found.problem.endswith(f". INSUFFICIENT_INVENTORY: {told}")


def test_a_refusal_with_a_reason_that_is_none_of_ours_hides_nothing_else() -> None:
    promotion = Promotion("P")
    refusal = {
        "promotionId": "P",
        "success": False,
        "reason": "WEATHER",
        "recommendation": "",
        "error": "rain",
    }
    page = {"promotionId": "P", "reservations": [{**refusal, "sku": "S"}], "page": 1, "pages": 1}
    value = json.dumps({**page, "summary": {"success": 0, "errors": 1}}).encode()
    promotion.take_results(value, NOW_MS)
    [found] = needed(facts(promotions={"P": promotion}))
    assert found.problem == "not set aside: S. WEATHER: rain" and "who else writes" in found.remedy


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
        final.take_report(decode_report(value), NOW_MS)
    [found] = needed(facts(promotions={"P": final}))
    assert (found.severity, found.problem) == ("error", "reserved is not consumed + released: B")


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
