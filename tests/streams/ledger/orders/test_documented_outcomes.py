"""docs/outcomes.md says what the code does: reasons in their order, examples as they are published."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from schemas.outcomes import OrderOutcome
from schemas.reasons import MEANINGS, RECOMMENDATIONS, Reason
from tests.streams.ledger.orders.support import HOUR_MS, TERMS, WHOLE, Bench, Json, only_outcome

PAGE = (Path(__file__).parents[4] / "docs" / "outcomes.md").read_text()
A, B = "SKU-001", "SKU-002"
TWO = ((A, 2), (B, 1))
DAY_MS = 24 * HOUR_MS


def _accepted() -> list[Json]:
    return [Bench().accepted(TWO)]


def _partial() -> list[Json]:
    bench = Bench()
    bench.place(TWO)
    bench.decided(A, 2)
    return [only_outcome(bench.decided(B, 1, "EXHAUSTED"))]


def _incomplete() -> list[Json]:
    bench = Bench(WHOLE)
    bench.place(TWO)
    bench.decided(A, 2)
    bench.decided(B, 1, "EXHAUSTED")
    return [only_outcome(bench.given_back(A, 2))]


def _cancelled() -> list[Json]:
    bench = Bench()
    bench.accepted(TWO)
    bench.now_ms += DAY_MS
    bench.cancel(((A, 1), (B, 5)), "RMA-7")
    part = only_outcome(bench.given_back(A, 1))
    bench.now_ms += DAY_MS
    bench.cancel()
    bench.given_back(A, 1, 2)
    return [part, only_outcome(bench.given_back(B, 1, 2))]


def _overtaken() -> list[Json]:
    bench = Bench()
    bench.cancel(((A, 1),), "RMA-7")
    unknown = only_outcome(bench.tick(TERMS.claim_grace_ms))
    bench.place(((A, 3),))
    return [unknown, only_outcome(bench.decided(A, 2))]


def test_the_reasons_stand_in_their_order_of_precedence_with_what_to_do() -> None:
    table = re.findall(r"^\| `([A-Z_]+)` \| (.+) \| (.+) \|$", PAGE.split("## Orders")[0], re.MULTILINE)
    assert table == [(reason.value, MEANINGS[reason], RECOMMENDATIONS[reason]) for reason in Reason]


def test_each_example_is_what_the_orders_stage_publishes() -> None:
    blocks = re.findall(r"```json order-outcomes\n(.*?)```", PAGE, re.DOTALL)
    examples = [json.loads(block) for block in blocks]
    played = [*_accepted(), *_partial(), *_incomplete(), *_cancelled(), *_overtaken()]
    assert examples == played
    assert [list(example) for example in examples] == [list(outcome) for outcome in played]


@pytest.mark.parametrize("outcome", [*_accepted(), *_partial(), *_incomplete(), *_cancelled(), *_overtaken()])
def test_each_example_is_valid_by_the_schema(outcome: Json) -> None:
    OrderOutcome.model_validate_json(json.dumps(outcome))


def test_every_outcome_is_explained() -> None:
    explained = re.findall(r"^\| `([A-Z]+)` \|", PAGE.split("## Orders")[1], re.MULTILINE)
    assert explained == ["ACCEPTED", "PARTIAL", "REJECTED", "CANCELLED"]
