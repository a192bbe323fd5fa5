from __future__ import annotations

import pytest

from streams.ledger.commands import End, LineReserved, Reserve, Tick
from streams.ledger.effects import Send
from streams.ledger.promotions import next_watermark_deadline_ms
from streams.ledger.promotions.state import EARLY_ENDS
from tests.streams.ledger.promotions.stage import (
    NOON_MS,
    PROMOTION,
    TERMS,
    Stage,
    active_stage,
    closed,
    dead_letters,
    end_before_the_start,
    end_of,
    figures,
    held,
    refused,
    reports,
    results,
    sku_commands,
    sku_results,
    start_of,
)

GRACE_MS = TERMS.claim_grace_ms
OVERTAKEN = refused("SKU-1", "ENDED"), refused("SKU-2", "ENDED")
"""What the ledgers answer to a start that was placed after its end."""
ENDS = [End(PROMOTION, sku, NOON_MS) for sku in ("SKU-1", "SKU-2")]


def active() -> Stage:
    stage = Stage()
    stage.take(start_of(), held("SKU-1"), held("SKU-2", 5))
    return stage


def reserves(sends: list[Send]) -> list[Reserve]:
    """What the ledgers are asked to set aside."""
    return [command for command in sku_commands(sends) if isinstance(command, Reserve)]


def test_an_end_goes_to_every_sku() -> None:
    assert sku_commands(active().take(end_of())) == ENDS


def test_an_end_goes_to_undecided_and_refused_skus_too() -> None:
    stage = Stage()
    stage.take(start_of(), refused("SKU-1"))
    assert sku_commands(stage.take(end_of())) == ENDS


def test_a_repeated_end_changes_and_publishes_nothing() -> None:
    stage = active()
    stage.take(end_of())
    before = dict(stage.store.rows)
    assert stage.take(end_of(offset=1, reason="again")) == []
    assert stage.store.rows == before


def test_of_several_ends_the_one_that_was_placed_soonest_counts() -> None:
    """The clock of the first one's producer may be ahead: the right one repairs that."""
    stage = Stage()
    stage.take(start_of(), held("SKU-1"), held("SKU-2", 5), end_of(placed_at_ms=NOON_MS + 3_600_000))
    assert sku_commands(stage.take(end_of(offset=1))) == ENDS
    assert stage.take(end_of(offset=2, placed_at_ms=NOON_MS + 1), end_of(offset=3)) == []


def test_of_several_ends_before_the_start_is_known_the_soonest_counts_too() -> None:
    stage = Stage()
    stage.take(end_of(placed_at_ms=NOON_MS + 3_600_000), end_of(offset=1, placed_at_ms=NOON_MS + 9))
    asked = reserves(stage.take(end_of(offset=2, placed_at_ms=NOON_MS + 10), start_of()))
    assert [one.ended_at_ms for one in asked] == [NOON_MS + 9] * 2


def test_a_promotion_that_was_ended_before_its_start_is_not_ended_again() -> None:
    stage = Stage()
    stage.take(end_before_the_start(), start_of(), *OVERTAKEN)
    assert sku_commands(stage.take(end_of(offset=1, placed_at_ms=NOON_MS - 1))) == []


def test_skus_that_are_ended_before_they_are_held_are_answered_as_their_ledger_says() -> None:
    stage = Stage()
    stage.take(start_of(), end_of())
    (page,) = results(stage.take(refused("SKU-1", "ENDED"), refused("SKU-2", "ENDED")))
    assert [one["reason"] for one in page["reservations"]] == ["ENDED", "ENDED"]
    assert page["summary"] == {"success": 0, "errors": 2}


def test_an_end_without_its_start_is_a_dead_letter_after_the_grace_with_its_bytes_and_key() -> None:
    stage = Stage()
    assert stage.take(end_of(offset=4)) == []
    assert stage.deadline_ms() == GRACE_MS
    assert stage.wait(GRACE_MS - 1) == []
    sent = stage.wait(1)
    ((value, headers),) = dead_letters(sent)
    assert value == b"end 4"
    assert sent[0].key == b"a shop's key"
    assert headers["reason"] == "NO_PROMOTION"
    assert headers["source-offset"] == "4"
    assert stage.wait(1_000_000) == []
    assert stage.deadline_ms() is None


def test_a_repeat_of_an_end_without_its_start_is_no_second_dead_letter() -> None:
    stage = Stage()
    stage.take(end_of(), end_of(offset=1))
    assert len(dead_letters(stage.wait(GRACE_MS))) == 1
    assert stage.take(end_of(offset=2)) == []
    assert stage.wait(GRACE_MS) == []


@pytest.mark.parametrize("wait_ms", [GRACE_MS - 1, GRACE_MS, 100 * GRACE_MS])
def test_a_start_that_was_placed_after_its_end_is_answered_ended_for_every_sku_and_holds_nothing(
    wait_ms: int,
) -> None:
    stage = Stage()
    stage.take(end_before_the_start())
    stage.wait(wait_ms)
    assert [one.ended_first for one in reserves(stage.take(start_of()))] == [True, True]
    sent = stage.take(*OVERTAKEN)
    assert [(one["sku"], one["reason"]) for one in sku_results(sent)] == [
        ("SKU-1", "ENDED"),
        ("SKU-2", "ENDED"),
    ]
    (page,) = results(sent)
    assert page["reservations"] == sku_results(sent)
    assert [told.fields["sku"] for told in stage.notices if "sku" in told.fields] == ["SKU-1", "SKU-2"]


def test_an_end_whose_start_came_within_the_grace_is_no_dead_letter() -> None:
    stage = Stage()
    stage.take(end_of())
    stage.wait(GRACE_MS - 1)
    stage.take(start_of())
    assert dead_letters(stage.wait(1)) == []
    assert next_watermark_deadline_ms(stage.rows) is None


@pytest.mark.parametrize("after_ms", [0, 60_000])
@pytest.mark.parametrize("given_up", [False, True])
def test_a_start_whose_later_end_was_decided_first_has_it_as_its_deadline(
    after_ms: int, given_up: bool
) -> None:
    stage = Stage()
    stage.take(end_of(placed_at_ms=NOON_MS + after_ms))
    stage.wait(GRACE_MS if given_up else 0)
    asked = reserves(stage.take(start_of()))
    assert [(one.sku, one.ended_at_ms, one.ended_first) for one in asked] == [
        ("SKU-1", NOON_MS + after_ms, False),
        ("SKU-2", NOON_MS + after_ms, False),
    ]
    assert stage.take(end_of(offset=1, placed_at_ms=NOON_MS + after_ms)) == []
    stage.take(held("SKU-1"), held("SKU-2", 5), closed("SKU-1", 1, 2, 8), closed("SKU-2", 1, 0, 5))
    assert [report["kind"] for report in reports(stage.wait(GRACE_MS))] == ["FINAL"]


def test_an_end_that_waits_in_a_backlog_behind_its_start_is_no_dead_letter() -> None:
    """By the clock its grace is long over, by the watermark it has not begun."""
    stage = Stage()
    stage.take(end_of())
    stage.now_ms += 100 * GRACE_MS
    assert stage.take(Tick(NOON_MS + GRACE_MS - 1), Tick()) == []
    assert len(sku_commands(stage.take(start_of()))) == 2


def test_nothing_is_kept_of_an_end_whose_start_has_come_but_what_the_promotion_knows() -> None:
    stage = Stage()
    stage.take(end_of(), start_of())
    assert not [key for key in stage.store.rows if key.startswith(EARLY_ENDS.prefix)]


def test_of_an_end_without_its_start_no_bytes_are_kept_once_they_are_a_dead_letter() -> None:
    stage = Stage()
    stage.take(end_of(offset=4))
    stage.wait(GRACE_MS)
    assert not any(b"end 4" in row for row in stage.store.rows.values())


def test_a_start_whose_end_was_decided_first_is_expected_to_close_in_time() -> None:
    stage = Stage()
    stage.take(end_of(), start_of(), held("SKU-1"), held("SKU-2", 5))
    stage.wait(TERMS.close_timeout_ms)
    assert [notice.event for notice in stage.notices if notice.level == "error"] == [
        "promotion_does_not_close"
    ]


def test_an_overtaken_start_that_holds_nothing_is_not_waited_for() -> None:
    stage = Stage()
    stage.take(end_before_the_start(), start_of(), *OVERTAKEN)
    stage.wait(GRACE_MS)
    assert stage.deadline_ms() is None


def test_an_end_is_reported_within_the_interval() -> None:
    stage = active_stage()
    stage.take(end_of())
    (report,) = reports(stage.wait(TERMS.report_interval_ms))
    assert (report["kind"], report["status"]) == ("INTERIM", "CLOSING")


def test_the_repeats_of_an_overtaken_start_and_its_end_are_repeats() -> None:
    stage = Stage()
    first = stage.take(end_before_the_start(), start_of(), *OVERTAKEN)
    assert results(stage.take(start_of(offset=1))) == results(first)
    assert stage.take(end_of(offset=1)) == []
    assert len(dead_letters(stage.take(start_of((("SKU-1", 1),), offset=2)))) == 1


def test_an_overtaken_start_gets_a_final_report_with_the_orders_that_were_turned_away() -> None:
    stage = Stage()
    stage.take(end_before_the_start(), start_of(), *OVERTAKEN)
    stage.take(figures("SKU-1", 1, "REJECTED", rejected_units=5, rejected_orders=2))
    (report,) = reports(stage.wait(GRACE_MS))
    assert (report["kind"], report["status"]) == ("FINAL", "REJECTED")
    totals = report["totals"]
    assert (totals["reserved"], totals["rejectedUnits"], totals["rejectedOrders"]) == (0, 5, 2)


@pytest.mark.parametrize("answer", [held("SKU-1"), refused("SKU-1")])
def test_an_answer_for_a_promotion_that_only_has_an_end_changes_nothing(answer: LineReserved) -> None:
    stage = Stage()
    stage.take(end_of())
    assert stage.take(answer, figures("SKU-1", 1), Tick()) == []


def test_an_end_after_every_sku_was_refused_changes_no_report() -> None:
    stage = Stage()
    stage.take(start_of(), refused("SKU-1"), refused("SKU-2"))
    stage.wait(GRACE_MS)
    stage.take(end_of())
    assert stage.deadline_ms() is None
