"""`flashsale status`: how everything stands, from the topics and the group, and what needs a person."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from jsonschema import Draft202012Validator

from flashsale.admin import create_topics
from flashsale.dead_letters.letter import newest_dead_letters
from flashsale.status.asked import asked_again
from flashsale.status.waiting import what_waits
from schemas.documents import json_schemas
from schemas.times import iso_utc, milliseconds
from streams.ledger.fluent_requests import ReleaseRequest, VerifyPage, VerifyRequest, encode_request
from streams.settings import Settings, load_settings
from streams.system import now_ms
from tests.flashsale.command import Command, InProcess, finished
from tests.flashsale.test_report import line, pages, values
from tests.support.audit import promotion_start
from tests.support.kafka import KafkaUnderTest
from tests.support.system import System, wait_until


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
    # It is read after `at`, and a worker may commit in between.
    assert milliseconds(report["group"]["lastCommitAt"]) <= milliseconds(report["at"]) + 20_000


def test_a_worker_says_since_when_it_has_its_tasks_and_how_it_stands_with_fluent(
    at_the_sale: InProcess,
) -> None:
    def worker() -> Any:
        return told(at_the_sale("status", "--json").out)["group"]["workers"][0]

    shown = wait_until(lambda: each if (each := worker())["toldAt"] else None, "what the worker says")
    assert len(shown["since"]) == len(shown["tasks"]) and all(shown["since"])
    assert (shown["breaker"], shown["intakeStopped"]) == ("closed", False)
    again = wait_until(
        lambda: each if (each := worker())["toldAt"] > shown["toldAt"] else None, "what it says next"
    )
    assert again["since"] == shown["since"], "although nothing moved"
    report = told(at_the_sale("status", "--json").out)
    assert report["fluent"]["breaker"] == "closed" and report["fluent"]["queued"] is not None


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
    assert (missing["severity"], missing["remedy"].split(";")[0]) == ("warning", "start `flashsale worker`")
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


# -- what a status reads where no worker runs


@pytest.fixture
def settings(called: InProcess) -> Settings:
    """Topics of this test's own."""
    settings = load_settings(called.environment)
    create_topics(settings)
    return settings


@contextmanager
def producing(settings: Settings, **more: str) -> Iterator[Callable[..., None]]:
    """Sends records to topics, and waits until the broker has them."""
    producer = Producer({"bootstrap.servers": settings.require_kafka(), **more})
    if more:
        producer.init_transactions(20)
        producer.begin_transaction()

    refused: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            refused.append(error)

    def send(topic: str, value: bytes, **record: Any) -> None:
        producer.produce(settings.prefixed(topic), value, partition=0, on_delivery=delivered, **record)
        assert (producer.flush(20), refused) == (0, [])

    try:
        yield send
    finally:
        if more:
            producer.abort_transaction(20)


def test_an_open_transaction_is_seen_with_what_it_hides(settings: Settings) -> None:
    place = (settings.prefixed("order-placed"), 0)
    with producing(settings, **{"transactional.id": settings.prefixed("somebody")}) as send:
        for _ in range(3):
            send("order-placed", b"{}")
        waiting = what_waits(settings)
    assert waiting.behind == {}
    many, since_ms = waiting.held_up[place]
    assert (many, set(waiting.held_up)) == (3, {place})
    assert abs(now_ms() - since_ms) < 60_000
    assert what_waits(settings).held_up == {}


def test_records_that_were_deleted_before_they_were_decided_are_lost(
    settings: Settings, admin: AdminClient
) -> None:
    place = (settings.prefixed("order-placed"), 0)
    with producing(settings) as send:
        for _ in range(5):
            send("order-placed", b"{}")
    group = {"bootstrap.servers": settings.require_kafka(), "group.id": settings.prefixed("flashsale")}
    consumer = Consumer(group)
    consumer.commit(offsets=[TopicPartition(*place, 2)], asynchronous=False)
    consumer.close()
    before = what_waits(settings)
    assert (before.lost, before.rows_lost) == ({}, True), "its row would be in the changelog"
    with producing(settings) as send:
        send("flashsale-tasks-changelog", b"row", key=b"key")
    assert what_waits(settings).rows_lost is False
    for future in admin.delete_records([TopicPartition(*place, 4)]).values():
        future.result(20)
    waiting = what_waits(settings)
    assert waiting.lost == {place: (2, 4)}
    assert waiting.behind[place] == (4, 1)


def test_fluent_is_asked_again_where_the_newest_request_is_repeated(settings: Settings) -> None:
    with producing(settings) as send:
        for number, sku in ((1, "A"), (1, "B"), (2, "B"), (1, "C"), (1, "A"), (1, "C"), (2, "C")):
            send("fluent-requests", encode_request(ReleaseRequest("P", sku, number, "FS-P", 0)))
        for _ in range(2):
            line = VerifyRequest("P", "D", 1, "FS-P", 5, 0, False, False)
            send("fluent-requests", encode_request(VerifyPage(1, 1, [line])))
    asked = asked_again(settings, now_ms())
    assert set(asked) == {("P", "A")}
    assert asked["P", "A"] <= now_ms()
    assert asked_again(settings, now_ms() + 60_000) == {}, "it was answered, or nobody asks any more"


def test_a_promotion_is_shown_for_as_long_as_it_is_open(settings: Settings, called: InProcess) -> None:
    days_ago_ms = now_ms() - 2 * 86_400_000
    with producing(settings) as send:
        for identity, kind in (("OPEN", "INTERIM"), ("OVER", "FINAL")):
            result = {"promotionId": identity, "sku": "A", "success": True, "reservationRef": "FS-P-A"}
            result |= {"quantity": 1_500, "expiresAt": iso_utc(days_ago_ms)}
            results = {"promotionId": identity, "reservations": [result], "page": 1, "pages": 1}
            results |= {"summary": {"success": 1, "errors": 0}}
            send("promotion-results", json.dumps(results).encode(), timestamp=days_ago_ms - 1)
            for value in values(pages(1, [line("A", 3)], kind=kind, promotionId=identity)):
                send("reconciliation-reports", value, key=identity.encode(), timestamp=days_ago_ms)
    report = told(called("status", "--json").out)
    assert [each["promotionId"] for each in report["promotions"]] == ["OPEN"]
    [late] = about(report, "OPEN")
    assert "its time was over" in late["problem"]


def test_of_a_flood_only_the_newest_dead_letters_are_read_and_none_of_their_bytes(
    settings: Settings,
) -> None:
    source = {"source-topic": settings.prefixed("order-placed"), "source-partition": "0"}
    why = {"reason": "INVALID", "error": "no", "recommendation": "mend it", "failed-at": iso_utc(now_ms())}
    with producing(settings) as send:
        for offset in range(5):
            headers = {**source, **why, "source-offset": str(offset)}
            send("dead-letters", b"x" * 1_000, headers=list(headers.items()))
    letters, cut = newest_dead_letters(settings, 3)
    assert ([letter.offset for letter in letters], cut) == ([2, 3, 4], True)
    assert {letter.value for letter in letters} == {None}
    assert newest_dead_letters(settings, 3, now_ms() + 1)[1] is False, "those that were left out are older"
    assert newest_dead_letters(settings, 5)[1] is False
