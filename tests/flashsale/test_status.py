"""`flashsale status`: how everything stands, from the topics and the group, and what needs a person."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from msgspec.json import encode

from flashsale.admin import create_topics
from flashsale.admin.group import Group, Member
from flashsale.cli.status import duration, print_text
from flashsale.dead_letters.letter import DeadLetter
from flashsale.status.attention import attention
from flashsale.status.gather import Facts
from flashsale.status.promotions import Promotion, decode_head
from flashsale.status.report import report_of
from schemas.documents import json_schemas
from schemas.status import Attention
from streams.ledger.effects import iso_utc
from streams.settings import load_settings
from tests.flashsale.command import Command, InProcess, finished
from tests.flashsale.test_report import line, pages, values
from tests.support.audit import promotion_start
from tests.support.kafka import KafkaUnderTest
from tests.support.system import System, wait_until

NOW_MS = 1_764_320_400_000
SETTINGS = load_settings({"KAFKA_BOOTSTRAP_SERVERS": "nowhere:1", "TOPIC_PREFIX": "x-"})
TASKS = SETTINGS.config.partitions


def told(done_out: str) -> Any:
    report = json.loads(done_out)
    Draft202012Validator(json_schemas()["status"]).validate(report)
    return report


def about(report: Any, subject: str) -> list[Any]:
    return [each for each in report["attention"] if each["subject"] == subject]


def test_a_closed_promotion_is_shown_with_its_figures_and_the_workers_with_their_tasks(
    at_the_sale: InProcess,
) -> None:
    done = at_the_sale("status", "FLASH-1", "--json")
    report = told(done.out)
    [promotion] = report["promotions"]
    assert (promotion["status"], promotion["skus"], promotion["refusedSkus"]) == ("CLOSED", 3, 1)
    assert (promotion["reserved"], promotion["consumed"], promotion["released"], promotion["left"]) == (
        7,
        4,
        3,
        0,
    )
    lines = {each["sku"]: each for each in promotion["lines"]}
    assert (lines["SKU-1"]["consumed"], lines["SKU-3"]["reason"]) == (3, "INSUFFICIENT_INVENTORY")
    [worker] = report["group"]["workers"]
    assert worker["tasks"] == list(range(report["group"]["tasks"])) and worker["host"]
    assert report["group"]["lastCommitAt"] <= report["at"]


def test_a_stranger_finds_the_refused_sku_of_a_broken_sale(at_the_sale: InProcess, sale: System) -> None:
    sale.publish("promotion-start", [promotion_start("FLASH-2", {"SKU-2": 1, "SKU-NONE": 5})])
    wait_until(lambda: len(sale.read("promotion-results")) > 1, "the results of FLASH-2")
    done = at_the_sale("status", "--json")
    report = told(done.out)
    assert done.status == 1
    running = next(each for each in report["promotions"] if each["promotionId"] == "FLASH-2")
    assert (running["status"], running["reserved"], running["refusedSkus"]) == ("ACTIVE", 1, 1)
    assert 7_000 < running["secondsLeft"] <= 7_200
    [refused] = about(report, "FLASH-2")
    assert "SKU-NONE" in refused["problem"] and "INSUFFICIENT_INVENTORY" in refused["problem"]
    assert "fewer units" in refused["remedy"]
    [letters] = about(report, "dead letters")
    assert "flashsale dead-letters list" in letters["remedy"]
    assert report["attention"].index(refused) < report["attention"].index(letters)

    text = at_the_sale("status")
    assert text.status == 1
    assert any(row.startswith("FLASH-2") and "ACTIVE" in row for row in text.lines)
    assert text.lines[-2].startswith("error   FLASH-2: not set aside: SKU-NONE.")
    assert text.lines[-1].startswith("warning dead letters: turned away within the last hour:")


def test_everything_that_was_sent_is_decided_and_answered(at_the_sale: InProcess) -> None:
    def quiet() -> bool:
        report = told(at_the_sale("status", "--json").out)
        return not any(each["behind"] for each in report["topics"]) and report["fluent"]["unanswered"] == 0

    wait_until(quiet, "nothing waits")


def test_without_a_worker_it_says_so(called: InProcess) -> None:
    create_topics(load_settings(called.environment))
    done = called("status", "--json")
    report = told(done.out)
    assert (done.status, report["promotions"], report["group"]["workers"]) == (1, [], [])
    [missing] = report["attention"]
    assert (missing["severity"], missing["remedy"]) == ("warning", "start `flashsale worker`")
    assert "No promotion to show." in called("status").lines


def test_an_unknown_promotion_exits_1_and_says_so(at_the_sale: InProcess) -> None:
    done = at_the_sale("status", "NOBODY")
    assert done.status == 1
    assert "Nothing is known of NOBODY" in done.err


def test_a_missing_topic_is_one_sentence(called: InProcess) -> None:
    assert called("status").refused("does not exist", "flashsale topics")


def test_watching_shows_it_again_and_again_until_ctrl_c(
    bare_environment: dict[str, str], sale: System, kafka: KafkaUnderTest
) -> None:
    command = Command(bare_environment | sale.environment())
    with command.running("status", "--watch", "--json") as process:
        assert process.stdout is not None
        first, second = told(process.stdout.readline()), told(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        done = finished(process)
    assert first["at"] < second["at"]
    assert (done.status, done.err) == (1, "")


# -- what needs a person, from facts


def member(*tasks: int) -> Member:
    return Member("w-1", "10.0.0.1", tuple(("x-sku-commands", task) for task in tasks))


def facts(**more: Any) -> Facts:
    """All is well, but for `more`."""
    group = Group("STABLE", (member(*range(TASKS)),), {})
    return replace(Facts(NOW_MS, group, last_commit_ms=NOW_MS - 500), **more)


def needed(seen: Facts, **config: Any) -> list[Attention]:
    changed = replace(SETTINGS, config=SETTINGS.config.model_copy(update=config))
    return list(attention(changed, seen))


def running(identity: str = "P", status: str = "ACTIVE", **more: Any) -> Promotion:
    promotion = Promotion(identity)
    drift = more.pop("drift", 0)
    kind = "FINAL" if status == "CLOSED" else "INTERIM"
    for value in values(pages(1, [line("A", 3, drift=drift)], kind=kind, **{"status": status, **more})):
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
    ("committed_ms_ago", "remedy"), [(500, "start more workers"), (60_000, "nothing is decided")]
)
def test_records_that_wait_for_long_are_an_error_by_their_age(committed_ms_ago: int, remedy: str) -> None:
    place = ("x-order-placed", 3)
    late = facts(behind={place: (7, 1_200)}, oldest_ms={place: NOW_MS - 95_000})
    [found] = needed(replace(late, last_commit_ms=NOW_MS - committed_ms_ago))
    assert found.subject == "order-placed"
    assert found.problem == "1,200 records wait to be decided, the oldest for 95 s"
    assert remedy in found.remedy
    assert needed(replace(late, oldest_ms={place: NOW_MS - 900})) == []


def test_fluent_that_does_not_answer_is_named() -> None:
    place = ("x-fluent-requests", 0)
    silent = facts(behind={place: (7, 3)}, oldest_ms={place: NOW_MS - 45_000})
    [found] = needed(silent)
    assert (found.subject, "oldest for 45 s" in found.problem) == ("Fluent", True)
    assert "flashsale check" in found.remedy
    assert needed(replace(silent, oldest_ms={place: NOW_MS - 5_000})) == []


def test_a_start_whose_units_are_not_set_aside_in_time_is_named() -> None:
    waiting = Promotion("P", started_at_ms=NOW_MS - 61_000)
    [found] = needed(facts(promotions={"P": waiting}))
    assert (found.subject, "61 s ago" in found.problem) == ("P", True)


def test_a_close_that_fluent_does_not_confirm_names_the_skus() -> None:
    [found] = needed(facts(promotions={"P": running(status="CLOSING", waitingFor=["A", "B"])}))
    assert found.problem == "Fluent has not confirmed the end of A, B"


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


def test_intake_that_has_stopped_is_told_by_what_waits_behind_the_dead_letters() -> None:
    place = ("x-order-placed", 0)
    flood = [letter(offset) for offset in range(40)]
    stopped = facts(behind={place: (40, 900)}, oldest_ms={place: NOW_MS - 45_000}, letters=flood)
    found = needed(stopped, dead_letter_limit_per_minute=30)
    assert [each.subject for each in found] == ["intake", "dead letters"]
    assert "intake" not in [each.subject for each in needed(stopped, dead_letter_limit_per_minute=40)]
    assert "intake" not in [each.subject for each in needed(stopped)]
    moved = replace(stopped, behind={place: (41, 899)})
    assert "intake" not in [each.subject for each in needed(moved, dead_letter_limit_per_minute=30)]


def test_the_json_of_every_part_fits_the_schema() -> None:
    place = ("x-order-placed", 0)
    seen = facts(
        behind={place: (40, 900)},
        oldest_ms={place: NOW_MS - 45_000},
        letters=[letter(1)],
        promotions={"P": results(running(drift=1), NOW_MS + 60_000), "Q": Promotion("Q", NOW_MS)},
    )
    report = told(encode(report_of(SETTINGS, seen, with_lines=True)).decode())
    assert [each["promotionId"] for each in report["promotions"]] == ["P", "Q"]
    assert next(t for t in report["topics"] if t["topic"] == "order-placed")["secondsBehind"] == 45


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
