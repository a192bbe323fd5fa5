"""What the broker says of the consumer group, and what it does not say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from flashsale.admin import group
from streams.settings import load_settings


def test_an_offset_that_the_broker_does_not_tell_is_not_taken_for_nothing_committed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """librdkafka puts such an error beside the partition, and no offset."""
    untold = SimpleNamespace(
        topic="t", partition=0, offset=-1001, error=KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    )
    consumer: Any = SimpleNamespace(committed=lambda asked, timeout: [untold], close=lambda: None)
    monkeypatch.setattr(group, "Consumer", lambda config: consumer)
    settings = load_settings({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"})
    with pytest.raises(KafkaException, match="TOPIC_AUTHORIZATION_FAILED"):
        group.look_at_notes(settings, "worker", [("t", 0)])
