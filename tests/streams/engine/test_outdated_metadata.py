"""What librdkafka knows of topics is looked up again where a broker says that it is outdated."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams.engine.changelog import OUTDATED, ChangelogReader


class Admin:
    """Answers with an error until the topic is looked up."""

    def __init__(self, code: int) -> None:
        self.code = code
        self.looked_up: list[str] = []

    def list_topics(self, topic: str, timeout: float) -> None:
        self.looked_up.append(topic)

    def list_offsets(self, wanted: dict[Any, Any], **_: Any) -> dict[Any, Future[Any]]:
        answers: dict[Any, Future[Any]] = {at: Future() for at in wanted}
        for answer in answers.values():
            if self.looked_up:
                answer.set_result(SimpleNamespace(offset=7))
            else:
                answer.set_exception(KafkaException(KafkaError(self.code)))
        return answers


def reader(admin: Admin) -> ChangelogReader:
    made = ChangelogReader({"bootstrap.servers": "127.0.0.1:1"})
    made._admin = admin  # type: ignore[assignment]
    return made


@pytest.mark.parametrize("code", OUTDATED)
def test_a_leader_or_a_partition_that_is_new_is_looked_up(code: int) -> None:
    admin = Admin(code)
    assert reader(admin).log_ranges([("orders", 0), ("orders", 3)]) == {
        ("orders", 0): (7, 7),
        ("orders", 3): (7, 7),
    }
    assert admin.looked_up == ["orders"]
    assert reader(Admin(code)).end_offset("changelog", 1) == 7


def test_any_other_error_is_the_callers() -> None:
    admin = Admin(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with pytest.raises(KafkaException):
        reader(admin).log_ranges([("orders", 0)])
    assert admin.looked_up == []
