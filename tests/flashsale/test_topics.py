"""`flashsale topics`: creates what is missing, finds what is wrong, never changes what exists."""

from __future__ import annotations

import time

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic

from flashsale.admin import Severity, check_topics, create_topics, require_topics
from flashsale.admin.cluster import look_at
from schemas.topics import DAY_MS, MAX_MESSAGE_BYTES, TOPICS
from streams.settings import ConfigurationError, Settings, load_settings
from tests.flashsale.command import Command, InProcess

TIMEOUT_S = 20.0


def make(admin: AdminClient, name: str, partitions: int, **config: str) -> None:
    settings = {key.replace("_", "."): value for key, value in config.items()}
    [created] = admin.create_topics([NewTopic(name, partitions, 1, config=settings)]).values()
    created.result(TIMEOUT_S)
    deadline = time.monotonic() + TIMEOUT_S
    while name not in look_at(admin, [name]):
        assert time.monotonic() < deadline


def alter(admin: AdminClient, name: str, **config: str) -> None:
    entries = [
        ConfigEntry(key.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
        for key, value in config.items()
    ]
    changes = ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=entries)
    [altered] = admin.incremental_alter_configs([changes]).values()
    altered.result(TIMEOUT_S)


def test_every_topic_is_created_as_the_table_says(with_topics: Command, admin: AdminClient) -> None:
    settings = load_settings(with_topics.environment)
    found = look_at(admin, [settings.prefixed(topic.name) for topic in TOPICS])
    for topic in TOPICS:
        seen = found[settings.prefixed(topic.name)]
        assert seen.partitions == 12
        assert seen.config is not None
        assert topic.broker_config().items() <= seen.config.items()
    assert all(finding.ok for finding in check_topics(settings))
    assert require_topics(settings) == []


def test_creating_again_changes_nothing(with_topics: Command) -> None:
    settings = load_settings(with_topics.environment)
    again = create_topics(settings)
    assert [topic.topic for topic in again] == [settings.prefixed(topic.name) for topic in TOPICS]
    assert not any(topic.new for topic in again)


def test_missing_topics_are_one_sentence_that_names_the_command(settings: Settings) -> None:
    with pytest.raises(ConfigurationError) as caught:
        require_topics(settings)
    assert settings.prefixed("promotion-start") in str(caught.value)
    assert "create it with `flashsale topics`" in str(caught.value)
    assert f"({len(TOPICS) - 1} more:" in str(caught.value)


def test_a_replication_that_the_cluster_cannot_give_is_one_sentence(settings: Settings) -> None:
    three = settings.config.model_copy(update={"replication_factor": 3})
    with pytest.raises(ConfigurationError, match=r"refuses to create the topic .*replicationFactor"):
        create_topics(Settings(config=three, kafka=settings.kafka, topic_prefix=settings.topic_prefix))


def test_the_command_creates_what_is_missing_beside_foreign_input_topics(
    flashsale: Command, settings: Settings, admin: AdminClient
) -> None:
    name = settings.prefixed("order-placed")
    make(admin, name, 7)
    created = flashsale("topics")
    assert (created.status, created.out.count("created")) == (0, len(TOPICS) - 1)
    assert [line.split() for line in created.lines if name in line] == [[name, "7", "exists"]]
    assert "warning" in created.err  # its producers' clocks: a worker would start all the same
    [finding] = require_topics(settings)
    assert (finding.topic, finding.severity) == (name, Severity.WARNING)


def test_the_check_exits_1_for_an_input_topic_with_its_producers_clocks(
    called: InProcess, settings: Settings, admin: AdminClient
) -> None:
    name = settings.prefixed("order-placed")
    make(admin, name, 2)
    checked = called("topics", "--check")
    assert checked.status == 1
    [line] = [line for line in checked.lines if name in line]
    assert "warning" in line
    assert "stamps records with CreateTime" in line
    assert "set message.timestamp.type of the topic to LogAppendTime" in line


def test_figures_as_a_former_version_made_them_are_a_warning_until_they_expire_too(
    called: InProcess, settings: Settings, admin: AdminClient
) -> None:
    name = settings.prefixed("sale-figures")
    make(admin, name, 12, cleanup_policy="compact", max_message_bytes=str(MAX_MESSAGE_BYTES))
    assert called("topics").status == 0
    checked = called("topics", "--check")
    assert checked.status == 1
    [line] = [line for line in checked.lines if name in line]
    assert "grows with every SKU that was ever sold" in line
    alter(admin, name, cleanup_policy="compact,delete", retention_ms=str(30 * DAY_MS))
    deadline = time.monotonic() + TIMEOUT_S
    while called("topics", "--check").status:
        assert time.monotonic() < deadline


def test_the_check_exits_0_when_all_is_well(called_with_topics: InProcess) -> None:
    checked = called_with_topics("topics", "--check")
    assert (checked.status, checked.err) == (0, "")
    assert sum(line.split()[-1:] == ["ok"] for line in checked.lines) == len(TOPICS)


def test_another_partition_count_ends_the_command_with_1_and_a_worker_with_2(
    flashsale: Command, called: InProcess, settings: Settings, admin: AdminClient
) -> None:
    make(admin, settings.prefixed("order-outcomes"), 2, max_message_bytes=str(MAX_MESSAGE_BYTES))
    created = called("topics")
    assert created.status == 1
    assert "has 2 partitions, but 12 are needed" in created.err
    worker = flashsale("worker", FLUENT_BASE_URL="http://127.0.0.1:9")
    assert worker.refused("has 2 partitions, but 12 are needed", '"partitions" to 2')
