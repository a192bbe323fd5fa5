"""The consumer group as the broker knows it: who owns which tasks, and how far everything was read."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from confluent_kafka import Consumer, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from flashsale.admin.cluster import TIMEOUT_S, result_of
from flashsale.notes import Note, note_in
from schemas.topics import FLUENT_REQUESTS
from streams.kafka import consumer_config
from streams.reader import NO_LEADER, POLL_S
from streams.settings import Settings

EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
NEWEST: OffsetSpec = OffsetSpec.max_timestamp()  # type: ignore[no-untyped-call]

Place = tuple[str, int]
"""Topic (name on the broker) and partition."""


@dataclass(frozen=True, slots=True)
class Member:
    """A worker in its group, with the partitions that it was given."""

    id: str
    host: str
    partitions: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """A consumer group: its state as Kafka names it, its members, and the offsets that it committed.

    `notes` are what its workers wrote beside them for us.
    """

    state: str
    members: tuple[Member, ...]
    committed: Mapping[Place, int]
    notes: Mapping[Place, Note] = field(default_factory=dict)


def look_at_group(admin: AdminClient, settings: Settings, name: str, places: Iterable[Place]) -> Group:
    """The group of that logical name, and its offsets of these partitions; one that nobody joined is empty.

    Raises NoBrokerError when the broker does not answer, and KafkaException.
    """
    wire_name = settings.prefixed(name)
    described = result_of(admin.describe_consumer_groups([wire_name], request_timeout=TIMEOUT_S)[wire_name])
    members = tuple(
        Member(
            member.member_id,
            member.host.lstrip("/"),
            tuple((each.topic, each.partition) for each in member.assignment.topic_partitions),
        )
        for member in described.members
    )
    found = _committed(settings, name, places)
    committed = {(at.topic, at.partition): at.offset for at in found}
    return Group(described.state.name, members, committed, _notes(settings, found))


def look_at_notes(settings: Settings, name: str, places: Iterable[Place]) -> dict[Place, Note]:
    """What workers have written beside the group's offsets by now. Raises KafkaException."""
    return _notes(settings, _committed(settings, name, places))


def _notes(settings: Settings, committed: Iterable[TopicPartition]) -> dict[Place, Note]:
    topic = settings.prefixed(FLUENT_REQUESTS)
    noted = {(at.topic, at.partition): note_in(at) for at in committed if at.topic == topic}
    return {place: note for place, note in noted.items() if note is not None}


def _committed(settings: Settings, name: str, places: Iterable[Place]) -> list[TopicPartition]:
    """Asked by a consumer that never joins: the admin client's list_consumer_group_offsets ends the process
    (librdkafka 2.16: SIGSEGV in rd_kafka_cgrp_op) while the group's coordinator is loading."""
    consumer = Consumer(consumer_config(settings, name))
    try:
        found = consumer.committed([TopicPartition(*place) for place in places], TIMEOUT_S)
    finally:
        consumer.close()
    for at in found:
        if at.error is not None:  # its offset says "nothing committed", which nobody knows
            raise KafkaException(at.error)
    return [at for at in found if at.offset >= 0]


def log_ranges(admin: AdminClient, places: Iterable[Place]) -> dict[Place, tuple[int, int]]:
    """First offset and last stable one of each partition. Raises as `look_at_group` does."""
    wanted = list(places)
    begins = _offsets(admin, wanted, EARLIEST)
    ends = _offsets(admin, wanted, LATEST)
    return {place: (begins[place][0], ends[place][0]) for place in wanted}


def log_ends(admin: AdminClient, places: Iterable[Place]) -> dict[Place, int]:
    """Where each partition ends, open transactions included. Raises as `look_at_group` does."""
    found = _offsets(admin, list(places), LATEST, IsolationLevel.READ_UNCOMMITTED)
    return {place: end for place, (end, _) in found.items()}


def newest_record_ms(admin: AdminClient, places: Iterable[Place]) -> int | None:
    """When the newest record of these partitions was written, None where there is none."""
    times = [at_ms for _, at_ms in _offsets(admin, list(places), NEWEST).values()]
    return max((at_ms for at_ms in times if at_ms >= 0), default=None)


def _offsets(
    admin: AdminClient,
    places: list[Place],
    spec: OffsetSpec,
    isolation: IsolationLevel = IsolationLevel.READ_COMMITTED,
) -> dict[Place, tuple[int, int]]:
    """(offset, timestamp) of each place; waits for a partition that has no leader yet, as a new one."""
    asked = {TopicPartition(*place): spec for place in places}
    deadline = time.monotonic() + TIMEOUT_S
    while asked:
        answers = admin.list_offsets(asked, isolation_level=isolation, request_timeout=TIMEOUT_S)
        try:
            found = {(at.topic, at.partition): result_of(future) for at, future in answers.items()}
        except KafkaException as failure:
            if failure.args[0].code() not in NO_LEADER or time.monotonic() > deadline:
                raise
            time.sleep(POLL_S)  # the broker tells nobody when a leader is elected
        else:
            return {place: (answer.offset, answer.timestamp) for place, answer in found.items()}
    return {}
