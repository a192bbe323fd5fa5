"""`flashsale inspect`: what happened to a SKU or an order, from the topics alone."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any

import pytest
from confluent_kafka import Producer

from flashsale.admin import create_topics
from flashsale.cli.inspect import how_far
from flashsale.history.replay import Replay
from flashsale.history.step import Searched, Step
from schemas.topics import SKU_COMMANDS
from streams.ledger import reservations
from streams.ledger.commands import Claim, HoldConfirmed, Reserve, encode
from streams.ledger.terms import Terms
from streams.settings import ConfigurationError, load_settings
from tests.flashsale.command import InProcess

Steps = list[dict[str, Any]]


def steps_of(done: str) -> Steps:
    found: Steps = json.loads(done)["steps"]
    return found


def test_a_sku_is_told_from_its_start_to_its_release_with_what_was_left(at_the_sale: InProcess) -> None:
    done = at_the_sale("inspect", "FLASH-1", "SKU-1", "--json")
    assert done.status == 0, done
    steps = steps_of(done.out)
    decisions = [(s["kind"], s["orderRef"], s["left"]) for s in steps if s["kind"] in ("decision", "cancel")]
    assert decisions == [
        ("decision", "O-1", 3),
        ("decision", "O-2", 1),
        ("decision", "O-3", 1),
        ("cancel", "O-1", 2),
    ]
    assert [s["reason"] for s in steps if s["kind"] == "decision" and "reason" in s] == ["EXHAUSTED"]
    kinds = [s["kind"] for s in steps]
    assert kinds[:5] == ["event", "command", "request", "answer", "reserved"]
    [release] = [s for s in steps if s["kind"] == "release"]
    assert (release["quantity"], release["reason"], release["left"]) == (2, "ENDED", 0)
    offsets = [s["offset"] for s in steps if s["topic"] == "sku-commands"]
    assert offsets == sorted(offsets)
    searched, *others = json.loads(done.out)["searched"]
    assert (searched["topic"], searched["whole"], searched["fromOffset"]) == ("sku-commands", True, 0)
    assert {each["topic"] for each in others} == {"promotion-start", "promotion-end"}


def test_it_says_which_client_of_the_bridge_ended_the_sale_and_cancelled_the_order(
    at_the_sale: InProcess,
) -> None:
    steps = steps_of(at_the_sale("inspect", "FLASH-1", "SKU-1", "--json").out)
    assert [(s["topic"], s["text"]) for s in steps if s["kind"] == "event"] == [
        ("promotion-start", "the sale is started"),
        ("promotion-end", "the sale is ended (a trial), through the bridge by client merch"),
    ]
    last = [s["topic"] for s in steps].index("promotion-end")
    assert "the promotion is ended" in [s["text"] for s in steps[last:]]
    order = at_the_sale("inspect", "FLASH-1", "--order", "O-1").out
    assert "is to be cancelled: 1 of SKU-1, through the bridge by client shop" in order


def test_the_text_says_the_same_in_plain_words(at_the_sale: InProcess) -> None:
    done = at_the_sale("inspect", "FLASH-1", "SKU-1")
    assert done.status == 0, done
    assert done.lines[0] == "SKU-1 of FLASH-1"
    texts = "\n".join(done.lines)
    assert "     3  order O-1 takes 2 units" in texts
    assert "     1  order O-3 asks for 3 units and gets none. EXHAUSTED: Fewer units of the" in texts
    assert "     2  order O-1 gives back 1 unit" in texts
    assert "     0  back on sale: 2 units of 5; sold: 3 units (ENDED)" in texts
    assert "Read from the beginning, 20" in done.err


def test_a_sku_that_fluent_did_not_hold_says_why(at_the_sale: InProcess) -> None:
    steps = steps_of(at_the_sale("inspect", "FLASH-1", "SKU-3", "--json").out)
    [refused] = [s for s in steps if s["kind"] == "refused"]
    assert (refused["reason"], refused["quantity"]) == ("INSUFFICIENT_INVENTORY", 9)
    assert all("left" not in s for s in steps)


def test_an_order_is_told_with_its_events_lines_answers_and_dead_letters(at_the_sale: InProcess) -> None:
    done = at_the_sale("inspect", "FLASH-1", "--order", "O-1", "--json")
    assert done.status == 0, done
    steps = steps_of(done.out)
    assert [(s["topic"], s["kind"]) for s in steps if s["topic"] != "sku-commands"] == [
        ("order-placed", "event"),
        ("order-outcomes", "answer"),
        ("order-placed", "event"),
        ("order-outcomes", "answer"),
        ("order-cancelled", "event"),
        ("order-outcomes", "answer"),
        ("dead-letters", "dead-letter"),
    ]
    assert next(s["text"] for s in steps if s["kind"] == "event") == "is placed: 2 of SKU-1"
    assert "once more" in [s["text"] for s in steps if s["kind"] == "answer"][1]
    assert [(s["kind"], s["left"]) for s in steps if s["topic"] == "sku-commands"] == [
        ("decision", 3),
        ("cancel", 2),
    ]
    assert "CONFLICT" in [s["reason"] for s in steps if s["kind"] == "dead-letter"]


def test_an_order_of_several_skus_names_them(at_the_sale: InProcess) -> None:
    done = at_the_sale("inspect", "FLASH-1", "--order", "O-2")
    assert done.status == 0, done
    text = "\n".join(done.lines)
    assert "SKU-1: order O-2 takes 2 units" in text
    assert "SKU-2: order O-2 takes 1 unit" in text
    assert "is answered. ACCEPTED, revision 1: 2 of SKU-1, 1 of SKU-2" in text


def test_an_order_that_was_turned_away_is_found_among_the_dead_letters(at_the_sale: InProcess) -> None:
    done = at_the_sale("inspect", "FLASH-1", "--order", "O-BAD")
    assert done.status == 0, done
    assert "INVALID" in done.out
    assert "order-placed/0" in done.err, "without an answer every event was looked at"


@pytest.mark.parametrize("arguments", [("FLASH-1", "NO-SKU"), ("FLASH-1", "--order", "O")])
def test_what_nobody_knows_exits_1_and_says_where_it_looked(
    at_the_sale: InProcess, arguments: tuple[str, ...]
) -> None:
    done = at_the_sale("inspect", *arguments)
    assert (done.status, done.out) == (1, "")
    assert "Nothing is known of" in done.err
    assert "sku-commands" in done.err or "order-outcomes" in done.err


def test_without_a_subject_it_says_how_to_name_one(nowhere: InProcess) -> None:
    assert nowhere("inspect", "FLASH-1").refused("--order", "flashsale report")


class Recorded:
    """A record of the ledger's log, as confluent-kafka hands it out."""

    def __init__(self, offset: int, at_ms: int, command: Any) -> None:
        self._offset, self._at_ms, self._value = offset, at_ms, encode(command)

    def offset(self) -> int:
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        return 2, self._at_ms

    def key(self) -> bytes:
        return b"A"

    def value(self) -> bytes:
        return self._value

    def headers(self) -> None:
        return None


def replayed(begin: int, *commands: Any, given_up: Collection[int] = ()) -> Iterator[Step]:
    settings = load_settings({"KAFKA_BOOTSTRAP_SERVERS": "nowhere:1"})
    replay = Replay(settings, "P", ["A"], Searched(SKU_COMMANDS, 0, begin), given_up=given_up)
    for offset, command in enumerate(commands, start=begin):
        yield from replay.take(Recorded(offset, 1_000 + offset, command))  # type: ignore[arg-type]


def test_nothing_is_concluded_about_a_reservation_whose_beginning_was_deleted() -> None:
    [step] = replayed(7, Claim("P", "A", 2, "O-1", 1_000, 0, 1_000))
    assert (step.text, step.left) == ("order O-1 asks for 2 units", None)
    assert "begins with offset 7" in how_far([Searched(SKU_COMMANDS, 0, 7)])


def test_a_reservation_that_begins_later_in_a_cut_log_is_told_as_usual() -> None:
    reserve = Reserve("P", "A", 5, 10_000_000, Terms())
    steps = list(replayed(7, reserve, Claim("P", "A", 2, "O-1", 1_000, 0, 1_000)))
    assert [step.kind for step in steps] == ["command", "request", "command"]


OPEN = (Reserve("P", "A", 5, 10_000_000, Terms()), HoldConfirmed("P", "A", 1, 5))


def test_a_record_that_was_given_up_is_told_and_takes_no_units() -> None:
    claims = [Claim("P", "A", 2, f"O-{n}", 1_000, 0, 1_000) for n in (1, 2)]
    steps = list(replayed(0, *OPEN, *claims, given_up={2}))
    assert [(step.kind, step.left) for step in steps[-2:]] == [("dead-letter", None), ("decision", 3)]
    assert "dead-letters show sku-commands/0/2" in steps[-2].text


def test_a_record_at_which_workers_end_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise KeyError("a defect")

    monkeypatch.setattr(reservations, "decide", fails)
    with pytest.raises(ConfigurationError, match=r"sku-commands/0/0 could not be decided: KeyError"):
        list(replayed(0, *OPEN))


def test_an_order_whose_reference_is_escaped_in_its_event_is_found(called: InProcess) -> None:
    settings = load_settings(called.environment)
    create_topics(settings)
    producer = Producer({"bootstrap.servers": settings.require_kafka()})
    event = rb'{"order":{"ref":"A\/\u00DC","promotionId":"P","items":[{"sku":"S","quantity":2}]}}'
    producer.produce(settings.prefixed("order-placed"), event)
    assert producer.flush(20) == 0
    done = called("inspect", "P", "--order", "A/Ü", "--json")
    assert [(s["topic"], s["text"]) for s in steps_of(done.out)] == [("order-placed", "is placed: 2 of S")]


def test_a_cancel_that_waits_to_be_decided_is_told(called: InProcess) -> None:
    settings = load_settings(called.environment)
    create_topics(settings)
    event: dict[str, Any] = {
        "order": {"ref": "O-9", "promotionId": "P", "items": [{"sku": "A", "quantity": 2}]}
    }
    answer: dict[str, Any] = {"orderRef": "O-9", "promotionId": "P", "outcome": "ACCEPTED", "revision": 1}
    answer |= {"decidedAt": "2025-11-28T09:00:00.000Z"}
    answer |= {"consumeResults": [{"sku": "A", "quantity": 2, "consumed": True}]}
    source = {"topic": settings.prefixed("order-placed"), "partition": "0", "offset": "0"}
    headers: dict[str, str | bytes | None] = {f"source-{name}": value for name, value in source.items()}
    producer = Producer({"bootstrap.servers": settings.require_kafka(), "partitioner": "murmur2_random"})
    producer.produce(settings.prefixed("order-placed"), json.dumps(event), partition=0)
    assert producer.flush(20) == 0, "the cancel comes later"
    producer.produce(settings.prefixed("order-outcomes"), json.dumps(answer), "O-9", headers=headers)
    event["order"]["cancellationRef"] = "C-1"
    producer.produce(settings.prefixed("order-cancelled"), json.dumps(event), "O-9")
    assert producer.flush(20) == 0
    done = called("inspect", "P", "--order", "O-9", "--json")
    assert [(s["topic"], s["text"]) for s in steps_of(done.out) if s["kind"] == "event"] == [
        ("order-placed", "is placed: 2 of A"),
        ("order-cancelled", "is to be cancelled (C-1): 2 of A"),
    ]
