from __future__ import annotations

import json

import pytest

from schemas.reasons import RECOMMENDATIONS, Reason
from schemas.topics import PROMOTION_RESULTS, RESERVATION_RESULTS
from streams.ledger.commands import Continue, Reserve
from streams.ledger.inputs import StartPromotion
from streams.ledger.promotions.starts import digest
from streams.ledger.promotions.state import REPEATS
from tests.streams.ledger.promotions.stage import (
    NOON_MS,
    PROMOTION,
    TERMS,
    Stage,
    dead_letters,
    held,
    of,
    refused,
    results,
    sku_commands,
    sku_results,
    start_of,
)

RESERVED_1 = {
    "promotionId": "FLASH-1",
    "sku": "SKU-1",
    "success": True,
    "reservationRef": "FS-FLASH-1-SKU-1",
    "quantity": 10,
    "expiresAt": "2027-01-15T10:00:00.000Z",
}
SHORTAGE = "Fluent has 3 units, 5 were asked for."
REFUSED_2 = {
    "promotionId": "FLASH-1",
    "sku": "SKU-2",
    "success": False,
    "error": SHORTAGE,
    "reason": "INSUFFICIENT_INVENTORY",
    "recommendation": RECOMMENDATIONS[Reason.INSUFFICIENT_INVENTORY],
}


def started(*decided: str) -> Stage:
    stage = Stage()
    stage.take(start_of(), *(held(sku) for sku in decided))
    return stage


def test_a_start_reserves_each_sku_with_its_terms_and_attributes() -> None:
    stage = Stage()
    sent = stage.take(start_of(attributes=b'{"channel":"web"}', duration_ms=3_600_000))
    expires_at_ms = NOON_MS + 3_600_000
    assert sku_commands(sent) == [
        Reserve(PROMOTION, "SKU-1", 10, expires_at_ms, TERMS, b'{"channel":"web"}'),
        Reserve(PROMOTION, "SKU-2", 5, expires_at_ms, TERMS, b'{"channel":"web"}'),
    ]
    assert results(sent) == []


@pytest.mark.parametrize(
    ("start", "expires_at_ms"),
    [
        (start_of(), NOON_MS + TERMS.default_duration_ms),
        (start_of(duration_ms=60_000), NOON_MS + 60_000),
        (start_of(expires_at_ms=NOON_MS + 1), NOON_MS + 1),
    ],
    ids=["the default duration", "its own duration", "a moment"],
)
def test_the_reservation_expires_after(start: StartPromotion, expires_at_ms: int) -> None:
    reserve = sku_commands(Stage().take(start))[0]
    assert isinstance(reserve, Reserve)
    assert reserve.expires_at_ms == expires_at_ms


@pytest.mark.parametrize(
    ("start", "says"),
    [
        (start_of(expires_at_ms=NOON_MS), "was to expire at 2027-01-15T08:00:00.000Z"),
        (start_of(()), "names no SKU"),
    ],
)
def test_a_start_that_can_not_hold_anything_is_a_dead_letter_and_leaves_no_trace(
    start: StartPromotion, says: str
) -> None:
    stage = Stage()
    ((value, headers),) = dead_letters(stage.take(start))
    assert value == b"start 0"
    assert headers["reason"] == "INVALID"
    assert says in headers["error"]
    assert stage.rows.flush() == {}


def test_every_sku_gets_its_own_result_as_soon_as_it_is_decided() -> None:
    stage = started()
    sent = stage.take(held("SKU-1"))
    assert sku_results(sent) == [RESERVED_1]
    assert [send.key for send in of(sent, RESERVATION_RESULTS)] == [b"FLASH-1"]
    assert results(sent) == []


def test_a_refused_sku_is_answered_with_error_reason_and_recommendation_and_warned_about() -> None:
    stage = started()
    sent = stage.take(refused("SKU-2", error=SHORTAGE))
    assert sku_results(sent) == [REFUSED_2]
    (notice,) = stage.notices
    assert notice.level == "warning"
    assert notice.fields == {
        "promotion": "FLASH-1",
        "sku": "SKU-2",
        "reason": "INSUFFICIENT_INVENTORY",
        "error": SHORTAGE,
        "recommendation": REFUSED_2["recommendation"],
    }


def test_a_refusal_without_words_gets_the_meaning_of_its_reason() -> None:
    (result,) = sku_results(started().take(refused("SKU-2", "FLUENT_UNAVAILABLE")))
    assert result["error"] == "Fluent did not answer in time whether the units could be held."


def test_the_promotion_is_answered_when_the_last_sku_is_decided_in_the_events_order() -> None:
    stage = started()
    sent = stage.take(refused("SKU-2", error=SHORTAGE), held("SKU-1"))
    assert results(sent) == [
        {
            "promotionId": "FLASH-1",
            "reservations": [RESERVED_1, REFUSED_2],
            "summary": {"success": 1, "errors": 1},
            "page": 1,
            "pages": 1,
        }
    ]
    (answer,) = of(sent, PROMOTION_RESULTS)
    assert answer.key == b"FLASH-1"
    assert answer.headers == start_of().source.headers()


def test_the_events_order_need_not_be_that_of_the_skus() -> None:
    stage = Stage()
    stage.take(start_of((("SKU-2", 5), ("SKU-1", 10))))
    [answer] = results(stage.take(held("SKU-1"), held("SKU-2", 5)))
    assert [one["sku"] for one in answer["reservations"]] == ["SKU-2", "SKU-1"]


def test_the_fields_stand_in_the_contracts_order() -> None:
    sent = started().take(refused("SKU-2", error="x"), held("SKU-1"))
    (answer,) = of(sent, PROMOTION_RESULTS)
    page = json.loads(answer.value or b"")
    assert list(page) == ["promotionId", "reservations", "summary", "page", "pages"]
    assert [list(one) for one in page["reservations"]] == [list(RESERVED_1), list(REFUSED_2)]


def test_a_second_answer_for_a_sku_changes_nothing() -> None:
    stage = started("SKU-1")
    assert stage.take(held("SKU-1"), refused("SKU-1")) == []


def test_answers_for_what_is_not_known_change_nothing() -> None:
    stage = started()
    assert stage.take(held("SKU-9"), held("SKU-1", promotion="OTHER")) == []
    assert stage.take(Continue("repeats", b"OTHER"), Continue("no such kind")) == []
    assert not [key for key in stage.store.rows if b"OTHER" in key]


def test_a_repeat_after_the_decision_gets_identical_bytes_under_its_own_headers() -> None:
    stage = started()
    first = of(stage.take(held("SKU-1"), held("SKU-2", 5)), PROMOTION_RESULTS)
    sent = stage.take(start_of((("SKU-2", 5), ("SKU-1", 10)), offset=7))
    assert [send.value for send in sent] == [send.value for send in first]
    assert [send.headers for send in sent] == [start_of(offset=7).source.headers()]


def test_a_repeat_before_the_decision_is_answered_when_it_is_made() -> None:
    stage = started("SKU-1")
    assert stage.take(start_of(offset=8), start_of(offset=9)) == []
    answers = of(stage.take(held("SKU-2", 5)), PROMOTION_RESULTS)
    offsets = [dict(answer.headers or ())["source-offset"] for answer in answers]
    assert offsets == [b"0", b"8", b"9"]
    assert len({answer.value for answer in answers}) == 1


def test_a_repeat_that_was_answered_leaves_no_row() -> None:
    stage = started("SKU-1")
    stage.take(start_of(offset=1), start_of(offset=2), held("SKU-2", 5))
    assert not [key for key in stage.store.rows if key.startswith(REPEATS.prefix)]


def test_a_repeat_that_comes_after_the_promotions_time_is_still_a_repeat() -> None:
    stage = Stage()
    stage.take(start_of(expires_at_ms=NOON_MS + 1_000), held("SKU-1"), held("SKU-2"))
    late = start_of(expires_at_ms=NOON_MS + 1_000, placed_at_ms=NOON_MS + 2_000, offset=1)
    assert len(results(stage.take(late))) == 1


@pytest.mark.parametrize(
    "other",
    [
        start_of((("SKU-1", 10),), offset=5),
        start_of((("SKU-1", 10), ("SKU-2", 6)), offset=5),
        start_of(duration_ms=TERMS.default_duration_ms, offset=5),
        start_of(expires_at_ms=NOON_MS + TERMS.default_duration_ms, offset=5),
        start_of(attributes=b"{}", offset=5),
    ],
    ids=["fewer SKUs", "other units", "the default spelt out", "a moment", "attributes"],
)
def test_other_content_under_a_known_id_is_a_conflict_and_the_first_stands(other: StartPromotion) -> None:
    stage = started("SKU-1")
    sent = stage.take(other)
    ((value, headers),) = dead_letters(sent)
    assert len(sent) == 1
    assert value == b"start 5"
    assert sent[0].key == b"a shop's key"
    assert headers["reason"] == "CONFLICT"
    assert headers["source-offset"] == "5"
    assert "topic promotion-start, partition 3, offset 0" in headers["error"]
    assert len(results(stage.take(held("SKU-2", 5)))) == 1


def test_other_content_under_a_known_id_that_could_not_be_started_either_is_invalid() -> None:
    stage = Stage()
    stage.take(start_of())
    ((_, headers),) = dead_letters(stage.take(start_of(offset=1, expires_at_ms=NOON_MS)))
    assert headers["reason"] == "INVALID"


def test_the_digest_does_not_see_the_order_of_lines_the_source_or_the_terms() -> None:
    one = start_of((("A", 1), ("B", 2)))
    other = start_of((("B", 2), ("A", 1)), offset=3, placed_at_ms=NOON_MS + 5)
    assert digest(one) == digest(other)


def test_two_promotions_whose_ids_begin_alike_do_not_mix() -> None:
    stage = Stage()
    stage.take(start_of((("A", 1),), promotion="P"), start_of((("A", 1), ("B", 1)), promotion="P1"))
    (page,) = results(stage.take(held("A", 1, promotion="P")))
    assert [one["sku"] for one in page["reservations"]] == ["A"]
    assert results(stage.take(held("A", 1, promotion="P1"))) == []
