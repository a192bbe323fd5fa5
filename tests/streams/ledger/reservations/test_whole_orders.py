"""Orders of one SKU: the ledger publishes their outcome itself, and tells the orders stage when it asks."""

from __future__ import annotations

from typing import Any

import msgspec

from streams.ledger import commands as c
from streams.ledger.effects import Effects
from streams.ledger.reservations import decide
from streams.ledger.terms import Source
from tests.streams.ledger.reservations.stage import (
    HOUR_MS,
    IDS,
    PROMOTION,
    SKU,
    TERMS,
    Ledger,
    cancelled,
    claim_of,
    decided,
)


def event(offset: int) -> Source:
    return Source("order-placed", 2, offset, b"any key")


def whole(order_ref: str, quantity: int = 1, offset: int = 1) -> c.Claim:
    """A Claim that is a whole order."""
    return msgspec.structs.replace(claim_of(order_ref, quantity), source=event(offset))


def recall(ledger: Ledger, order_ref: str) -> list[Any]:
    return ledger.do(c.Recall(*IDS, order_ref))


def parts(outcome: dict[str, Any]) -> list[tuple[int, str]]:
    """(quantity, reason) of an outcome's results."""
    return [(part["quantity"], part.get("reason", "")) for part in outcome["consumeResults"]]


def test_the_outcome_answers_the_event_and_nothing_goes_to_the_orders_stage() -> None:
    ledger = Ledger()
    ledger.open(10)
    (outcome,) = ledger.do(whole("O-1", 3, offset=17))
    assert outcome == {
        "orderRef": "O-1",
        "promotionId": PROMOTION,
        "outcome": "ACCEPTED",
        "consumeResults": [{"sku": SKU, "quantity": 3, "consumed": True}],
        "decidedAt": "2027-01-15T08:00:00.000Z",
        "revision": 1,
    }
    sent = ledger.sent[-1]
    assert (sent.topic, sent.key) == ("order-outcomes", b"O-1")
    assert dict(sent.headers or [])["source-offset"] == b"17"


def test_an_order_that_waited_is_answered_to_its_event_alone_as_well() -> None:
    ledger = Ledger()
    ledger.reserve(10)
    ledger.do(whole("O-1", 3))
    out = ledger.do(c.HoldConfirmed(*IDS, 1, 10))
    assert [parts(record) for record in out if isinstance(record, dict)] == [[(3, "")]]
    assert "order-commands" not in [send.topic for send in ledger.sent]


def test_outcomes_are_counted_as_they_are_published_repeats_as_well() -> None:
    ledger = Ledger()
    ledger.open(3)
    effects = Effects()
    for order_ref in ("O-1", "O-2", "O-1"):
        decide(ledger.rows, whole(order_ref, 2), ledger.now_ms, effects)
    assert effects.outcomes == {"ACCEPTED": 2, "REJECTED": 1}


def test_a_refusal_says_why_and_what_to_do() -> None:
    ledger = Ledger()
    ledger.open(1)
    (outcome,) = ledger.do(whole("O-1", 2))
    assert (outcome["outcome"], parts(outcome)) == ("REJECTED", [(2, "EXHAUSTED")])
    assert outcome["consumeResults"][0]["recommendation"]


def test_a_recall_tells_what_was_decided_and_when_and_decides_nothing() -> None:
    ledger = Ledger()
    ledger.open(10)
    ledger.do(whole("O-1", 3))
    decided_at_ms, before = ledger.now_ms, c.encode(ledger.row())
    ledger.now_ms += 5_000
    assert recall(ledger, "O-1") == [c.LineRecalled(PROMOTION, "O-1", SKU, 3, "", 0, decided_at_ms)]
    assert c.encode(ledger.row()) == before


def test_a_recall_of_a_claim_that_nobody_knows_says_so() -> None:
    ledger = Ledger()
    ledger.open(10)
    assert recall(ledger, "O-1") == [c.LineRecalled(PROMOTION, "O-1", SKU)]
    assert ledger.claim_row("O-1") is None


def test_a_recall_of_an_unknown_promotion_leaves_no_row() -> None:
    ledger = Ledger()
    assert recall(ledger, "O-1") == [c.LineRecalled(PROMOTION, "O-1", SKU)]
    assert not ledger.store.rows


def test_a_claim_that_waits_is_answered_first_and_recalled_then() -> None:
    ledger = Ledger()
    ledger.reserve(10)
    assert ledger.do(whole("O-1", 3, offset=9)) == []
    assert recall(ledger, "O-1") == []
    ledger.now_ms += 700
    out = ledger.do(c.HoldConfirmed(*IDS, 1, 10))
    outcome = next(record for record in out if isinstance(record, dict))
    recalled = next(record for record in out if isinstance(record, c.LineRecalled))
    assert out.index(outcome) < out.index(recalled)
    assert (outcome["outcome"], recalled.quantity, recalled.reason) == ("ACCEPTED", 3, "")
    assert recalled.decided_at_ms == ledger.now_ms


def test_a_waiting_claim_whose_order_was_forgotten_answers_every_event_once() -> None:
    ledger = Ledger()
    ledger.reserve(10)
    ledger.do(whole("O-1", 3, offset=1))
    ledger.do(whole("O-1", 3, offset=2))
    ledger.do(claim_of("O-1", 3))
    out = ledger.do(c.HoldConfirmed(*IDS, 1, 10))
    outcomes = [send for send in ledger.sent if send.topic == "order-outcomes"]
    assert [dict(send.headers or [])["source-offset"] for send in outcomes] == [b"1", b"2"]
    assert outcomes[0].value == outcomes[1].value
    assert decided("O-1", quantity=3, again=True) in out
    assert ledger.row().claimed == 3


def test_units_that_were_given_back_are_not_promised_again() -> None:
    """Seen: two units, order A takes both and cancels, B takes both, and A's event came once more after the
    orders stage had forgotten A: it was told ACCEPTED with the two units that B has."""
    ledger = Ledger()
    ledger.open(2)
    ledger.do(whole("A", 2, offset=1))
    ledger.cancel("A")
    ledger.do(whole("B", 2, offset=2))
    (again,) = ledger.do(whole("A", 2, offset=3))
    assert (again["outcome"], parts(again)) == ("REJECTED", [(2, "CANCELLED")])
    assert ledger.row().claimed == 2


def test_of_a_partly_cancelled_order_the_rest_is_what_it_is_told() -> None:
    ledger = Ledger()
    ledger.open(5)
    ledger.do(whole("A", 5, offset=1))
    ledger.cancel("A", 4)
    (again,) = ledger.do(whole("A", 5, offset=2))
    assert (again["outcome"], parts(again)) == ("PARTIAL", [(1, ""), (4, "CANCELLED")])
    assert recall(ledger, "A") == [c.LineRecalled(PROMOTION, "A", SKU, 5, "", 4, ledger.now_ms)]


def test_a_line_of_a_larger_order_is_told_what_was_given_back_of_it() -> None:
    ledger = Ledger()
    ledger.open(5)
    ledger.claim("A", 5)
    ledger.cancel("A", 4)
    assert ledger.claim("A", 5) == [decided("A", "", 5, cancelled=4, again=True)]


def test_a_line_that_was_given_back_because_its_order_was_incomplete_stays_refused() -> None:
    ledger = Ledger()
    ledger.open(5)
    ledger.claim("A", 5)
    ledger.cancel("A", 5, compensation=True)
    ledger.claim("B", 5)
    assert ledger.claim("A", 5) == [decided("A", "INCOMPLETE_ORDER", 5, again=True)]


def test_another_quantity_under_a_ref_that_the_ledger_knows_is_a_conflict_and_takes_nothing() -> None:
    ledger = Ledger()
    ledger.open(5)
    ledger.do(whole("A", 2, offset=1))
    (other,) = ledger.do(whole("A", 3, offset=2))
    assert (other["outcome"], parts(other)) == ("REJECTED", [(3, "CONFLICT")])
    assert ledger.row().claimed == 2


def test_a_claim_of_which_units_were_given_back_late_is_kept_as_long_as_its_order() -> None:
    """Seen: a partial cancel late after the close prolongs the order's memory; the next one found no claim
    and was answered `cancelled: false` although its units were sold."""
    ledger = Ledger()
    ledger.open(5)
    ledger.claim("A", 5)
    ledger.close()
    ledger.verify()
    ledger.after(TERMS.claims_kept_ms - HOUR_MS)
    ledger.cancel("A", 2)
    ledger.after(TERMS.claims_kept_ms - HOUR_MS)
    assert cancelled("A", 3) in ledger.cancel("A", 3)
    ledger.after(TERMS.claims_kept_ms + HOUR_MS)
    assert ledger.claim_row("A") is None


def test_a_claim_that_was_decided_after_the_close_is_kept_as_long_as_its_order() -> None:
    """Seen by reading: it was forgotten with the others, and its order's repeat was told another time."""
    ledger = Ledger()
    ledger.open(5)
    ledger.close()
    ledger.verify()
    ledger.after(TERMS.claims_kept_ms - HOUR_MS)
    ledger.do(whole("LATE"))
    ledger.after(TERMS.claims_kept_ms - HOUR_MS)
    assert ledger.claim_row("LATE") is not None
    ledger.after(2 * HOUR_MS)
    assert ledger.claim_row("LATE") is None
