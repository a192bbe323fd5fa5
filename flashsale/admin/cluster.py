"""The cluster's own view of topics: partitions, replicas, settings, and what we may do with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation, AdminClient, ConfigResource, ResourceType

from streams.kafka import client_config
from streams.settings import NoBrokerError, Settings

TIMEOUT_S = 15.0

DENIED = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
    }
)


@dataclass(frozen=True, slots=True)
class TopicOnBroker:
    """A topic as it is. `config` is None where we may not read it.

    `operations` is what this login may do with it; None where the broker does not say.
    """

    partitions: int
    replicas: int
    operations: frozenset[AclOperation] | None = None
    config: Mapping[str, str] | None = None

    def number(self, key: str) -> int | None:
        """A setting that is a whole number, or None where it is not known."""
        text = (self.config or {}).get(key)
        return None if text is None else int(text)


def admin_client(settings: Settings) -> AdminClient:
    """An admin client. Raises ConfigurationError when no broker is configured."""
    return AdminClient(client_config(settings))


def look_at(admin: AdminClient, names: Iterable[str]) -> dict[str, TopicOnBroker]:
    """The topics of these wire names that exist (and that we may see).

    Raises NoBrokerError when the broker does not answer.
    """
    seen = _described(admin, list(names))
    configs = _configs(admin, list(seen))
    return {
        name: TopicOnBroker(
            len(description.partitions),
            min((len(partition.replicas) for partition in description.partitions), default=0),
            _operations(description.authorized_operations),
            configs.get(name),
        )
        for name, description in seen.items()
    }


def result_of(future: Future[Any]) -> Any:
    """What the broker answered. Raises KafkaException, or NoBrokerError when nothing comes in time."""
    try:
        return future.result(TIMEOUT_S + 1)
    except TimeoutError:
        raise NoBrokerError(f"The Kafka broker did not answer within {TIMEOUT_S:.0f} s.") from None
    except KafkaException as failure:
        if failure.args[0].code() in (KafkaError._TIMED_OUT, KafkaError._TRANSPORT):
            raise NoBrokerError(f"The Kafka broker did not answer: {failure.args[0].str()}.") from None
        raise


def _described(admin: AdminClient, names: list[str]) -> dict[str, Any]:
    answers = admin.describe_topics(
        TopicCollection(names), include_authorized_operations=True, request_timeout=TIMEOUT_S
    )
    found = {}
    for name, future in answers.items():
        try:
            found[name] = result_of(future)
        except KafkaException as failure:
            if failure.args[0].code() not in DENIED | {KafkaError.UNKNOWN_TOPIC_OR_PART}:
                raise
    return found


def _configs(admin: AdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    found = {}
    for resource, future in admin.describe_configs(resources, request_timeout=TIMEOUT_S).items():
        try:
            found[resource.name] = {key: entry.value for key, entry in result_of(future).items()}
        except KafkaException as failure:
            if failure.args[0].code() not in DENIED | {KafkaError.UNKNOWN_TOPIC_OR_PART}:
                raise
    return found


def _operations(answered: Iterable[AclOperation] | None) -> frozenset[AclOperation] | None:
    return None if answered is None else frozenset(answered)
