"""What a worker needs of its topics and its login, as pure rules over what the broker has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from confluent_kafka.admin import AclOperation

from flashsale.admin.cluster import TopicOnBroker
from schemas.topics import DAY_MS, MAX_INPUT_BYTES, MAX_MESSAGE_BYTES, Role, Topic

MIN_RETENTION_MS = DAY_MS
"""Shorter than this, an outage over a night deletes records that nobody has decided."""

FOREVER = -1

READ, WRITE = AclOperation.READ, AclOperation.WRITE

NEEDED = {
    Role.INPUT: (READ,),
    Role.COMMANDS: (READ, WRITE),
    Role.OUTPUT: (WRITE,),
    Role.STATE: (READ, WRITE),
}
"""What a worker does with each kind of topic."""


class Severity(StrEnum):
    """How much a problem matters: an error keeps a worker from starting, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a check. `problem` and `remedy` are empty where all is well.

    `topic` is the name on the broker, the prefix included.
    """

    topic: str
    severity: Severity = Severity.ERROR
    problem: str = ""
    remedy: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problem

    @property
    def sentence(self) -> str:
        """Topic, problem and remedy for a log line."""
        return f"{self.topic}: {self.problem}; {self.remedy}." if self.problem else f"{self.topic}: ok."


def problems(
    topic: Topic, name: str, found: TopicOnBroker | None, partitions: int, replication: int | None
) -> list[Finding]:
    """Everything that is wrong with the topic `name`, which is None on a broker that does not have it."""
    if found is None:
        return [
            Finding(
                name, Severity.ERROR, "is missing (or may not be seen)", "create it with `flashsale topics`"
            )
        ]
    wrong = [*_shape(topic, name, found, partitions, replication), *_settings(topic, name, found)]
    if found.config is None:
        remedy = "allow DescribeConfigs on it, or check its timestamp type and sizes by hand"
        wrong.append(Finding(name, Severity.WARNING, "its settings may not be read", remedy))
    return wrong


def _shape(
    topic: Topic, name: str, found: TopicOnBroker, partitions: int, replication: int | None
) -> Iterator[Finding]:
    if topic.role is Role.INPUT:
        return
    if found.partitions != partitions:
        problem = f"has {counted(found.partitions, 'partition')}, but {partitions} are needed"
        fixed = "the number is fixed once the topics exist (docs/operations.md)"
        yield Finding(name, Severity.ERROR, problem, f'set "partitions" to {found.partitions}: {fixed}')
    if replication is not None and found.replicas < replication:
        problem = f"has {counted(found.replicas, 'copy', 'copies')}, but replicationFactor is {replication}"
        yield Finding(name, Severity.WARNING, problem, "reassign its partitions to more brokers")


def _settings(topic: Topic, name: str, found: TopicOnBroker) -> Iterator[Finding]:
    if found.config is None:
        return
    yield from _timestamps(topic, name, found.config.get("message.timestamp.type"))
    yield from _cleanup(topic, name, set((found.config.get("cleanup.policy") or "delete").split(",")))
    yield from _retention(topic, name, found)
    yield from _size(topic, name, found.number("max.message.bytes"))


def _timestamps(topic: Topic, name: str, kind: str | None) -> Iterator[Finding]:
    if topic.log_append_time and kind not in (None, "LogAppendTime"):
        yield Finding(
            name,
            Severity.WARNING if topic.role is Role.INPUT else Severity.ERROR,
            f"stamps records with {kind}: its producers' clocks decide what was in time",
            altered("message.timestamp.type", "LogAppendTime"),
        )


def _cleanup(topic: Topic, name: str, policies: set[str]) -> Iterator[Finding]:
    if policies == set(topic.cleanup):
        return
    severity, harm = _harm(topic, policies)
    wanted = altered("cleanup.policy", ",".join(topic.cleanup))
    if "delete" in topic.cleanup and "delete" not in policies:
        wanted = f"{wanted}, and retention.ms to {topic.retention_ms}"
    yield Finding(name, severity, harm, wanted)


def _harm(topic: Topic, policies: set[str]) -> tuple[Severity, str]:
    """What another `cleanup.policy` than ours does to a topic."""
    shown = f"has cleanup.policy {','.join(sorted(policies))}"
    if not topic.compacted:
        severity = Severity.WARNING if topic.role is Role.INPUT else Severity.ERROR
        return severity, "is compacted: records with equal keys would be lost"
    if topic.role is Role.STATE:
        return Severity.ERROR, f"{shown}: state would be deleted"
    if "compact" in policies:
        return Severity.WARNING, f"{shown}: it grows with every SKU that was ever sold"
    return Severity.WARNING, f"{shown}: every figure of a sale is kept, and read when a bridge starts"


def _retention(topic: Topic, name: str, found: TopicOnBroker) -> Iterator[Finding]:
    kept_ms = found.number("retention.ms")
    if "delete" not in topic.cleanup or kept_ms is None or kept_ms == FOREVER or kept_ms >= MIN_RETENTION_MS:
        return
    problem = f"keeps records for {kept_ms / 3_600_000:g} h only: what an outage delays may be deleted"
    yield Finding(name, Severity.WARNING, problem, altered("retention.ms", str(topic.retention_ms)))


def _size(topic: Topic, name: str, limit_bytes: int | None) -> Iterator[Finding]:
    if limit_bytes is None:
        return
    if topic.role is Role.INPUT and limit_bytes > MAX_INPUT_BYTES:
        problem = f"takes messages of {limit_bytes:,} bytes, which would not fit into dead-letters"
        remedy = altered("max.message.bytes", f"{MAX_INPUT_BYTES} or less")
        yield Finding(name, Severity.ERROR, problem, remedy)
    if topic.role is not Role.INPUT and limit_bytes < MAX_MESSAGE_BYTES:
        problem = f"takes messages of {limit_bytes:,} bytes only"
        yield Finding(name, Severity.ERROR, problem, altered("max.message.bytes", str(MAX_MESSAGE_BYTES)))


def altered(key: str, value: str) -> str:
    """The remedy for a topic's setting, as Kafka's own tools and consoles name it."""
    return f"set {key} of the topic to {value}"


def counted(number: int, one: str, many: str = "") -> str:
    """`1 partition`, `3 partitions`."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def lacking_rights(topic: Topic, name: str, seen: TopicOnBroker) -> list[Finding]:
    """What a worker needs on a topic and its login may not do; nothing where the broker does not say."""
    if seen.operations is None:
        return []
    denied = [operation for operation in NEEDED[topic.role] if operation not in seen.operations]
    return [lacking(name, operation.name.title(), "topic") for operation in denied]


def lacking(name: str, operation: str, kind: str) -> Finding:
    """A right that the worker's login does not have on a `kind` (topic, consumer group) of this name."""
    problem = f"{operation} is not allowed on this {kind}"
    return Finding(
        name, Severity.ERROR, problem, f"grant {operation} on the {kind} {name} to the worker's login"
    )
