"""What somebody else writes to our output topics keeps no command from telling what is ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Producer

from schemas import examples
from schemas.topics import (
    DEAD_LETTERS,
    FLUENT_REQUESTS,
    ORDER_OUTCOMES,
    PROMOTION_RESULTS,
    RECONCILIATION_REPORTS,
    RESERVATION_RELEASES,
    SALE_FIGURES,
    SKU_COMMANDS,
)
from streams.settings import load_settings
from tests.flashsale.command import InProcess

PROMOTION = "FLASH-2025-11-28"
OURS: dict[str, Any] = {
    PROMOTION_RESULTS: examples.PROMOTION_RESULTS[0],
    ORDER_OUTCOMES: examples.ORDER_OUTCOMES[0],
    RECONCILIATION_REPORTS: examples.RECONCILIATION_REPORTS[0],
    SALE_FIGURES: examples.SALE_FIGURES[0],
}
ORDER = OURS[ORDER_OUTCOMES]["orderRef"]
KEYS = {ORDER_OUTCOMES: ORDER}

FOREIGN = (
    b"no JSON",
    b'{"promotionId":"\xff","orderRef":"\xff","kind":"\xff"}',
    b'{"other":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    b'{"promotionId":"FLASH-2025-11-28"}',
)
TOPICS = (*OURS, RESERVATION_RELEASES, DEAD_LETTERS, FLUENT_REQUESTS, SKU_COMMANDS)


def otherwise(content: Any) -> Iterator[bytes]:
    """One of our records with times that are none, with texts that are not UTF-8, about something else."""
    text = json.dumps(content)
    for moment in ("2025-11-28T", "2026-"):
        text = text.replace(moment, f"soon {moment}")
    yield text.encode()
    yield json.dumps(content).encode().replace(b"FLASH", b"FLASH\xff")
    yield json.dumps(content | {"promotionId": "OTHER"}).encode()


@pytest.fixture
def among_strangers(called_with_topics: InProcess) -> InProcess:
    """Our own answers, and between them what somebody else wrote under the same keys."""
    settings = load_settings(called_with_topics.environment)
    producer = Producer({"bootstrap.servers": settings.require_kafka(), "partitioner": "murmur2_random"})
    headers: list[tuple[str, str | bytes | None]] = [
        ("source-topic", settings.prefixed("order-placed")),
        ("source-partition", b"\xff"),
        ("source-offset", "none"),
    ]
    for topic in TOPICS:
        key, ours = KEYS.get(topic, PROMOTION), OURS.get(topic)
        for value in (*FOREIGN, *(otherwise(ours) if ours else ())):
            producer.produce(settings.prefixed(topic), value, key, headers=headers)
        if ours:
            producer.produce(settings.prefixed(topic), json.dumps(ours), key, headers=headers)
    assert producer.flush(20) == 0
    return called_with_topics


def test_every_command_tells_what_is_ours_among_records_of_somebody_else(among_strangers: InProcess) -> None:
    status = json.loads(among_strangers("status", "--json").out)
    assert PROMOTION in [each["promotionId"] for each in status["promotions"]]
    assert among_strangers("status").status == 1
    order = json.loads(among_strangers("inspect", PROMOTION, "--order", ORDER, "--json").out)
    assert "answer" in [step["kind"] for step in order["steps"]]
    sku = OURS[SALE_FIGURES]["sku"]
    assert among_strangers("inspect", PROMOTION, sku).status in (0, 1)
    assert json.loads(among_strangers("report", PROMOTION, "--json").out)["promotionId"] == PROMOTION
    assert among_strangers("dead-letters", "list").status == 0
    assert among_strangers("tail", ORDER_OUTCOMES, "--from-beginning", "--timeout", "1").status == 0
