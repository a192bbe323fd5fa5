"""What this login may do, as far as a broker tells without anything being changed."""

from __future__ import annotations

from collections.abc import Iterator

from confluent_kafka import KafkaException
from confluent_kafka.admin import AclOperation, AdminClient

from flashsale.admin.cluster import DENIED, TIMEOUT_S, TopicOnBroker, admin_client, look_at, result_of
from flashsale.admin.findings import Finding, Severity
from schemas.topics import TOPICS, Role, Topic
from streams.settings import Settings

READ, WRITE = AclOperation.READ, AclOperation.WRITE

NEEDED = {
    Role.INPUT: (READ,),
    Role.COMMANDS: (READ, WRITE),
    Role.OUTPUT: (WRITE,),
    Role.STATE: (READ, WRITE),
}
"""What a worker does with each kind of topic."""

GROUP = "flashsale"


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


def lacking_rights(topic: Topic, name: str, seen: TopicOnBroker) -> list[Finding]:
    """What a worker needs on a topic and its login may not do; nothing where the broker does not say."""
    if seen.operations is None:
        return []
    denied = [operation for operation in NEEDED[topic.role] if operation not in seen.operations]
    return [_lacking(name, operation.name.title(), "topic") for operation in denied]


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
        yield _lacking(name, "Read", "consumer group")


def _lacking(name: str, operation: str, kind: str) -> Finding:
    problem = f"{operation} is not allowed on this {kind}"
    return Finding(
        name, Severity.ERROR, problem, f"grant {operation} on the {kind} {name} to the worker's login"
    )
