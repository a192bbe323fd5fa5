from __future__ import annotations

from schemas.topics import PROMOTION_RESULTS
from streams.ledger.commands import Continue, End, Reserve
from streams.ledger.effects import Effects
from streams.ledger.promotions import decide
from tests.streams.ledger.promotions.stage import (
    TERMS,
    Stage,
    continuations,
    count_from_here,
    end_before_the_start,
    end_of,
    figures,
    held,
    of,
    refused,
    reports,
    results,
    sku_commands,
    sku_results,
    start_of,
    within_budget,
)

LINES = tuple((f"SKU-{number * 7_919 % 10_000:05d}", number % 90 + 1) for number in range(10_000))
SKUS = [sku for sku, _ in LINES]


def test_10_000_skus_are_reserved_decided_ended_and_reported_within_the_budget_of_each_command() -> None:
    stage = Stage()
    reserves = sku_commands(stage.decide(start_of(LINES, attributes=b'{"a":1}')))
    assert [(one.sku, one.quantity) for one in reserves if isinstance(one, Reserve)] == list(LINES)
    stage.commit()
    count_from_here(stage)

    for sku, quantity in reversed(LINES[1:]):
        stage.decide(held(sku, quantity))
    stage.commit()
    stage.decide(start_of(LINES, attributes=b'{"a":1}', offset=1))
    pages = results(stage.take(held(*LINES[0])))
    assert [(page["page"], page["pages"]) for page in pages] == [(n, 20) for n in range(1, 21)] * 2
    assert [one["sku"] for page in pages[:20] for one in page["reservations"]] == SKUS
    assert pages[20:] == pages[:20]
    assert len(sku_results(stage.sends)) == 10_000

    assert within_budget(stage)
    ends = sku_commands(stage.decide(end_of()))
    assert sorted(one.sku for one in ends if isinstance(one, End)) == sorted(SKUS)
    stage.commit()
    count_from_here(stage)

    for sku, quantity in LINES:
        stage.decide(figures(sku, 1, "CLOSED", reserved=quantity, consumed=quantity - 1, released=1))
    stage.commit()
    final = reports(stage.wait(TERMS.claim_grace_ms))
    assert [(page["page"], page["pages"], page["kind"]) for page in final] == [
        (n, 20, "FINAL") for n in range(1, 21)
    ]
    lines = [line for page in final for line in page["lines"]]
    assert [line["sku"] for line in lines] == SKUS
    for column, total in final[0]["totals"].items():
        assert total == sum(line[column] for line in lines)
    assert all(page["totals"] == final[0]["totals"] for page in final)
    assert max(len(send.value or b"") for send in stage.sends) < 1024 * 1024
    assert within_budget(stage)


def test_10_000_skus_that_were_ended_before_they_were_started_are_answered() -> None:
    stage = Stage()
    stage.take(end_before_the_start())
    asked = sku_commands(stage.take(start_of(LINES)))
    assert [one.sku for one in asked if isinstance(one, Reserve) and one.ended_first] == SKUS
    sent = stage.take(*(refused(sku, "ENDED") for sku in SKUS))
    assert [one["sku"] for one in sku_results(sent)] == SKUS
    assert len(results(sent)) == 20


def test_a_flood_of_repeats_before_the_decision_is_answered_piece_by_piece_in_order() -> None:
    stage = Stage()
    lines = LINES[:600]
    stage.take(start_of(lines))
    for offset in range(1, 101):
        stage.decide(start_of(lines, offset=offset))
    for sku, quantity in lines[1:]:
        stage.decide(held(sku, quantity))
    first = stage.decide(held(*lines[0]))
    assert continuations(first) == [Continue("repeats", b"FLASH-1")]
    late = stage.decide(start_of(lines, offset=101))
    assert late == []
    rest = stage.take(*continuations(first))
    assert len(continuations(rest)) == 33, "three repeats of 600 lines in a command"
    answers = of(first + rest, PROMOTION_RESULTS)
    offsets = [int(dict(answer.headers or ())["source-offset"]) for answer in answers]
    assert offsets == [offset for offset in range(102) for _page in range(2)]
    assert within_budget(stage)


def test_a_tick_with_many_promotions_due_goes_on_with_a_continue() -> None:
    stage = Stage()
    for number in range(700):
        stage.decide(start_of((("SKU-1", 1),), promotion=f"P{number}"))
    sent = stage.wait(TERMS.report_interval_ms)
    assert sorted(report["promotionId"] for report in reports(sent)) == sorted(f"P{n}" for n in range(700))
    assert len(continuations(sent)) >= 3
    assert within_budget(stage)


def test_a_continue_that_is_not_due_any_more_changes_nothing() -> None:
    stage = Stage()
    stage.take(start_of(), held("SKU-1"), held("SKU-2"))
    kept = dict(stage.store.rows)
    effects = Effects()
    for kind in ("repeats", "due", "unknown"):
        decide(stage.rows, Continue(kind, b"FLASH-1"), stage.now_ms, effects)
        decide(stage.rows, Continue(kind, b"NOT-KNOWN"), stage.now_ms, effects)
    stage.commit()
    assert effects.sends == []
    assert stage.store.rows == kept
