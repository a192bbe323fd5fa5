"""The reasons are a closed set in a fixed order, each with a meaning and something to do."""

from __future__ import annotations

from schemas.reasons import MEANINGS, RECOMMENDATIONS, Reason


def test_every_reason_has_a_meaning_and_a_recommendation_in_the_order_of_precedence() -> None:
    assert list(MEANINGS) == list(RECOMMENDATIONS) == list(Reason)
    for text in [*MEANINGS.values(), *RECOMMENDATIONS.values()]:
        assert text.endswith(".") and text == text.strip() and len(text) > 30


def test_a_reason_is_written_as_its_name() -> None:
    assert [str(reason) for reason in Reason] == [reason.name for reason in Reason]


def test_the_reasons_of_the_contract_are_there() -> None:
    contract = (
        "NO_RESERVATION NO_PROMOTION EXPIRED ENDED EXHAUSTED INSUFFICIENT_INVENTORY "
        "FLUENT_UNAVAILABLE CANCELLED NO_ORDER INVALID CONFLICT"
    )
    assert set(contract.split()) <= {reason.value for reason in Reason}
