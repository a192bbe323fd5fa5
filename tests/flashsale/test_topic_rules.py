"""What is wrong with a topic, and what to do about it."""

from __future__ import annotations

import pytest

from flashsale.admin import Finding, Severity
from flashsale.admin.cluster import TopicOnBroker
from flashsale.admin.rules import problems
from schemas.topics import BY_NAME, MAX_INPUT_BYTES, MAX_MESSAGE_BYTES

PARTITIONS = 4


def on_broker(name: str, partitions: int | None = None, **config: str) -> TopicOnBroker:
    """The topic as it should be, but for what is given; a setting's dots are written as in Kafka."""
    topic = BY_NAME[name]
    defaults = {"max.message.bytes": "1048588", "retention.ms": "604800000", **topic.broker_config()}
    count = partitions or PARTITIONS
    return TopicOnBroker(count, 1, config={**defaults, **config})


def found(name: str, seen: TopicOnBroker | None, replication: int | None = None) -> list[Finding]:
    return problems(BY_NAME[name], f"shop-{name}", seen, PARTITIONS, replication)


@pytest.mark.parametrize("name", BY_NAME)
def test_a_topic_as_we_create_it_has_no_problem(name: str) -> None:
    assert found(name, on_broker(name)) == []


@pytest.mark.parametrize(
    ("name", "key", "value", "severity", "remedy"),
    [
        ("order-placed", "max.message.bytes", str(MAX_MESSAGE_BYTES), "error", f"to {MAX_INPUT_BYTES}"),
        ("dead-letters", "max.message.bytes", "1048588", "error", f"to {MAX_MESSAGE_BYTES}"),
        ("order-placed", "retention.ms", "3600000", "warning", "retention.ms"),
        ("sku-commands", "retention.ms", "3600000", "warning", "retention.ms"),
        ("order-outcomes", "cleanup.policy", "compact", "error", "to delete"),
        ("order-cancelled", "cleanup.policy", "compact,delete", "warning", "to delete"),
        ("sale-figures", "cleanup.policy", "delete", "warning", "to compact,delete"),
        (
            "sale-figures",
            "cleanup.policy",
            "compact",
            "warning",
            "to compact,delete, and retention.ms to 2592",
        ),
        ("sale-figures", "retention.ms", "3600000", "warning", "retention.ms of the topic to 2592000000"),
        ("flashsale-tasks-changelog", "cleanup.policy", "delete", "error", "to compact"),
        ("flashsale-tasks-changelog", "cleanup.policy", "compact,delete", "error", "to compact"),
        ("order-placed", "message.timestamp.type", "CreateTime", "warning", "to LogAppendTime"),
        ("order-commands", "message.timestamp.type", "CreateTime", "error", "to LogAppendTime"),
    ],
)
def test_a_setting_that_would_lose_or_block_something_has_a_remedy(
    name: str, key: str, value: str, severity: str, remedy: str
) -> None:
    [finding] = found(name, on_broker(name, None, **{key: value}))
    assert (finding.topic, finding.severity) == (f"shop-{name}", severity)
    assert remedy in finding.remedy


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("order-placed", "max.message.bytes", str(MAX_INPUT_BYTES)),
        ("order-placed", "retention.ms", "-1"),
        ("order-outcomes", "retention.ms", "172800000"),
        ("sale-figures", "cleanup.policy", "delete,compact"),
        ("dead-letters", "max.message.bytes", str(2 * MAX_MESSAGE_BYTES)),
    ],
)
def test_a_setting_that_harms_nothing_is_left_to_its_owner(name: str, key: str, value: str) -> None:
    assert found(name, on_broker(name, None, **{key: value})) == []


def test_input_topics_may_have_any_number_of_partitions() -> None:
    assert found("order-placed", on_broker("order-placed", partitions=7)) == []


def test_the_remedy_for_a_partition_count_is_the_number_to_configure() -> None:
    [finding] = found("sku-commands", on_broker("sku-commands", partitions=3))
    assert finding.severity is Severity.ERROR
    assert finding.problem == "has 3 partitions, but 4 are needed"
    assert '"partitions" to 3' in finding.remedy


def test_fewer_copies_than_configured_are_a_warning() -> None:
    [finding] = found("sku-commands", on_broker("sku-commands"), replication=3)
    assert finding.severity is Severity.WARNING
    assert finding.problem == "has 1 copy, but replicationFactor is 3"


def test_settings_that_may_not_be_read_are_a_warning() -> None:
    [finding] = found("order-placed", TopicOnBroker(4, 1, config=None))
    assert finding.severity is Severity.WARNING
    assert "DescribeConfigs" in finding.remedy


def test_a_finding_is_a_sentence_for_the_log() -> None:
    [finding] = found("order-placed", None)
    assert finding.sentence == (
        "shop-order-placed: is missing (or may not be seen); create it with `flashsale topics`."
    )
