"""What this login may do, as far as a broker tells without anything being changed."""

from __future__ import annotations

from collections.abc import Iterator

from confluent_kafka import KafkaException
from confluent_kafka.admin import AclOperation, AdminClient

from streams.admin.cluster import DENIED, TIMEOUT_S, TopicOnBroker, admin_client, look_at, result_of
from streams.admin.findings import Finding, Severity
from streams.settings import Settings
from streams.topology import TOPICS, Role

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
    return [*_topics(settings, seen), *_group(admin, settings.prefixed(GROUP))]


def _topics(settings: Settings, seen: dict[str, TopicOnBroker]) -> Iterator[Finding]:
    for topic in TOPICS:
        name = settings.prefixed(topic.name)
        allowed = seen[name].operations if name in seen else None
        for operation in NEEDED[topic.role]:
            if allowed is not None and operation not in allowed:
                yield _lacking(name, operation.name.title(), "topic")


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
