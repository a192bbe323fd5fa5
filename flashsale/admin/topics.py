"""Creates every topic, or tells what is wrong with those that exist and with what our login may do.

Topics that exist are never changed: what they hold may be somebody else's, and a number of partitions that
changed would send an order's events to two owners.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from flashsale.admin.cluster import DENIED, TIMEOUT_S, admin_client, look_at, result_of
from flashsale.admin.rules import (
    READ,
    Finding,
    Severity,
    lacking,
    lacking_rights,
    problems,
)
from schemas.topics import TOPICS, Topic
from streams.kafka import check_broker
from streams.settings import ConfigurationError, Settings

GROUP = "flashsale"
BROKERS_DEFAULT = -1
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Created:
    """A topic after `create_topics`: `new` when it was created, else it was there before."""

    topic: str
    partitions: int
    new: bool


def create_topics(settings: Settings) -> list[Created]:
    """Create the topics that are missing and wait until the broker serves them; others stay as they are.

    Raises ConfigurationError when no broker answers, or the broker refuses.
    """
    check_broker(settings)
    admin = admin_client(settings)
    names = [settings.prefixed(topic.name) for topic in TOPICS]
    missing = set(names) - set(look_at(admin, names))
    wanted = [topic for topic in TOPICS if settings.prefixed(topic.name) in missing]
    created = _create(admin, settings, wanted) if wanted else set()
    found = _served(admin, names)
    return [Created(name, found[name], name in created) for name in names]


def check_topics(settings: Settings) -> list[Finding]:
    """At least one finding for every topic, in the order of the table. Changes nothing.

    Raises ConfigurationError when no broker answers.
    """
    check_broker(settings)
    return _findings(settings)


def require_topics(settings: Settings) -> list[Finding]:
    """What a worker needs at its start, once `check_broker` has passed: the warnings, for its log.

    Raises ConfigurationError, in one sentence, when a topic is missing or does not fit.
    """
    findings = _findings(settings)
    errors = [finding for finding in findings if not finding.ok and finding.severity is Severity.ERROR]
    if errors:
        raise ConfigurationError(_sentence(errors))
    return [finding for finding in findings if not finding.ok]


def check_rights(settings: Settings) -> list[Finding]:
    """What a worker's login lacks on the topics that exist and on its consumer group; empty: nothing.

    A broker without access control allows everything. Nobody can be asked about transactional ids.
    Raises NoBrokerError when no broker answers.
    """
    admin = admin_client(settings)
    seen = look_at(admin, [settings.prefixed(topic.name) for topic in TOPICS])
    findings = [
        finding
        for topic in TOPICS
        if (name := settings.prefixed(topic.name)) in seen
        for finding in lacking_rights(topic, name, seen[name])
    ]
    return [*findings, *_group(admin, settings.prefixed(GROUP))]


def _findings(settings: Settings) -> list[Finding]:
    found = look_at(admin_client(settings), [settings.prefixed(topic.name) for topic in TOPICS])
    config = settings.config
    findings = []
    for topic in TOPICS:
        name = settings.prefixed(topic.name)
        wrong = problems(topic, name, found.get(name), config.partitions, config.replication_factor)
        findings += wrong or [Finding(name)]
    return findings


def _sentence(errors: list[Finding]) -> str:
    first, *others = errors
    more = f" ({len(others)} more: see `flashsale topics --check`)" if others else ""
    return f"The topic {first.topic} {first.problem}; {first.remedy}{more}."


def _create(admin: AdminClient, settings: Settings, topics: list[Topic]) -> set[str]:
    """The names of those that were created by us and not by somebody else at the same moment."""
    config = settings.config
    requests = [
        NewTopic(
            settings.prefixed(topic.name),
            config.partitions,
            config.replication_factor or BROKERS_DEFAULT,
            config=topic.broker_config(),
        )
        for topic in topics
    ]
    answers = admin.create_topics(requests, request_timeout=TIMEOUT_S)
    return {name for name, future in answers.items() if _was_created(name, future)}


def _was_created(name: str, future: Future[None]) -> bool:
    try:
        result_of(future)
    except KafkaException as failure:
        error: KafkaError = failure.args[0]
        if error.code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return False
        raise ConfigurationError(
            f"The broker refuses to create the topic {name}: {error.str()}; "
            "check replicationFactor, and that the login may create topics."
        ) from None
    return True


def _served(admin: AdminClient, names: list[str]) -> dict[str, int]:
    """Partition counts, once every topic is known to the broker that answers: creation takes a moment."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        found = look_at(admin, names)
        if len(found) == len(names):
            return {name: topic.partitions for name, topic in found.items()}
        if time.monotonic() > deadline:
            absent = ", ".join(name for name in names if name not in found)
            raise ConfigurationError(f"The broker does not serve {absent}, which were just created.")
        time.sleep(POLL_S)  # the broker tells nobody when its metadata is complete


def _group(admin: AdminClient, name: str) -> Iterator[Finding]:
    asked = admin.describe_consumer_groups(
        [name], include_authorized_operations=True, request_timeout=TIMEOUT_S
    )
    try:
        allowed = result_of(asked[name]).authorized_operations
    except KafkaException as failure:
        if failure.args[0].code() not in DENIED:
            raise
        allowed = ()
    if allowed is not None and READ not in allowed:
        yield lacking(name, "Read", "consumer group")
