"""The requests that aiokafka 0.14 has in older versions only, or not at all.

- TxnOffsetCommit v3: v0 carries no generation, so the broker could not refuse a former owner.
- OffsetFetch v7: v3 knows nothing of offsets that an open transaction is about to change.
- ListOffsets v5: v3 says nothing of the leader's epoch.
- OffsetForLeaderEpoch v3: where a log ends, not only what of it is replicated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Array,
    Boolean,
    CompactArray,
    CompactString,
    Int8,
    Int16,
    Int32,
    Int64,
    Schema,
    String,
    TaggedFields,
)

TopicPartitions = Iterable[tuple[str, int]]
TAGS: dict[int, bytes] = {}
NO_REPLICA, ANY_EPOCH, LATEST = -1, -1, -1
_STRING = CompactString("utf-8")


def _topics(*fields: tuple[str, Any]) -> tuple[str, Array]:
    """The field `topics` of versions that are not flexible, with these fields of each partition."""
    return "topics", Array(("topic", String("utf-8")), ("partitions", Array(*fields)))


class TxnOffsetCommitResponse3(Response):  # type: ignore[misc]
    """Per topic and partition: an error code."""

    API_KEY = 28
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "errors",
            CompactArray(
                ("topic", _STRING),
                (
                    "partitions",
                    CompactArray(("partition", Int32), ("error_code", Int16), ("tags", TaggedFields)),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class TxnOffsetCommitRequest3(RequestStruct):  # type: ignore[misc]
    """Offsets of a transaction, from a member of a generation."""

    API_KEY = 28
    API_VERSION = 3
    RESPONSE_TYPE = TxnOffsetCommitResponse3
    FLEXIBLE_VERSION = True
    SCHEMA = Schema(
        ("transactional_id", _STRING),
        ("group_id", _STRING),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("generation_id", Int32),
        ("member_id", _STRING),
        ("group_instance_id", _STRING),
        (
            "topics",
            CompactArray(
                ("topic", _STRING),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", _STRING),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class OffsetFetchResponse7(Response):  # type: ignore[misc]
    """Per topic and partition: offset (-1: none), metadata, error code; and an error code for the group."""

    API_KEY = 9
    API_VERSION = 7
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("topic", _STRING),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", _STRING),
                        ("error_code", Int16),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("error_code", Int16),
        ("tags", TaggedFields),
    )


class OffsetFetchRequest7(RequestStruct):  # type: ignore[misc]
    """A group's offsets; with `require_stable` only once no transaction is about to change them."""

    API_KEY = 9
    API_VERSION = 7
    RESPONSE_TYPE = OffsetFetchResponse7
    FLEXIBLE_VERSION = True
    SCHEMA = Schema(
        ("group_id", _STRING),
        (
            "topics",
            CompactArray(("topic", _STRING), ("partitions", CompactArray(Int32)), ("tags", TaggedFields)),
        ),
        ("require_stable", Boolean),
        ("tags", TaggedFields),
    )


class ListOffsetsResponse5(Response):  # type: ignore[misc]
    """Per topic and partition: error code, offset, and the epoch of the leader that answers."""

    API_KEY = 2
    API_VERSION = 5
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        _topics(
            ("partition", Int32),
            ("error_code", Int16),
            ("timestamp", Int64),
            ("offset", Int64),
            ("leader_epoch", Int32),
        ),
    )


class ListOffsetsRequest5(RequestStruct):  # type: ignore[misc]
    """Offsets by time, of partitions that a broker leads."""

    API_KEY = 2
    API_VERSION = 5
    RESPONSE_TYPE = ListOffsetsResponse5
    SCHEMA = Schema(
        ("replica_id", Int32),
        ("isolation_level", Int8),
        _topics(("partition", Int32), ("current_leader_epoch", Int32), ("timestamp", Int64)),
    )


class OffsetForLeaderEpochResponse3(Response):  # type: ignore[misc]
    """Per topic and partition: error code, and where the epoch ends; the newest one where the log does."""

    API_KEY = 23
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        _topics(("error_code", Int16), ("partition", Int32), ("leader_epoch", Int32), ("end_offset", Int64)),
    )


class OffsetForLeaderEpochRequest3(RequestStruct):  # type: ignore[misc]
    """Where epochs end; refused where the leader has another epoch than the current one that is named."""

    API_KEY = 23
    API_VERSION = 3
    RESPONSE_TYPE = OffsetForLeaderEpochResponse3
    SCHEMA = Schema(
        ("replica_id", Int32),
        _topics(("partition", Int32), ("current_leader_epoch", Int32), ("leader_epoch", Int32)),
    )


class TxnOffsetCommit(Request[TxnOffsetCommitRequest3]):  # type: ignore[misc]
    """Builds the request above from its fields."""

    API_KEY = 28

    def __init__(self, *fields: Any) -> None:
        self._fields = fields

    def build(self, request_struct_class: type[TxnOffsetCommitRequest3]) -> TxnOffsetCommitRequest3:
        """The struct that goes over the wire."""
        return request_struct_class(*self._fields)


class OffsetFetch(Request[OffsetFetchRequest7]):  # type: ignore[misc]
    """A group's offsets of some partitions."""

    API_KEY = 9

    def __init__(self, group: str, partitions: TopicPartitions, *, stable: bool) -> None:
        self._group, self._stable = group, stable
        self._topics = by_topic({partition: (partition[1],) for partition in partitions})

    def build(self, request_struct_class: type[OffsetFetchRequest7]) -> OffsetFetchRequest7:
        """The struct that goes over the wire."""
        topics = [(topic, [number for (number,) in rows], TAGS) for topic, rows in self._topics.items()]
        return request_struct_class(self._group, topics, self._stable, TAGS)


class LeaderEpochs(Request[ListOffsetsRequest5]):  # type: ignore[misc]
    """In which epoch a broker leads some partitions."""

    API_KEY = 2

    def __init__(self, partitions: TopicPartitions) -> None:
        self.topics = by_topic({each: (each[1], ANY_EPOCH, LATEST) for each in partitions})

    def build(self, request_struct_class: type[ListOffsetsRequest5]) -> ListOffsetsRequest5:
        """The struct that goes over the wire."""
        return request_struct_class(NO_REPLICA, 0, list(self.topics.items()))


class EpochEnds(Request[OffsetForLeaderEpochRequest3]):  # type: ignore[misc]
    """Where the logs of partitions end that a broker leads in these epochs."""

    API_KEY = 23

    def __init__(self, epochs: Mapping[tuple[str, int], int]) -> None:
        self.topics = by_topic({each: (each[1], epoch, epoch) for each, epoch in epochs.items()})

    def build(self, request_struct_class: type[OffsetForLeaderEpochRequest3]) -> OffsetForLeaderEpochRequest3:
        """The struct that goes over the wire."""
        return request_struct_class(NO_REPLICA, list(self.topics.items()))


def by_topic(rows: Mapping[tuple[str, int], tuple[Any, ...]]) -> dict[str, list[tuple[Any, ...]]]:
    """Rows of partitions, grouped by their topic as requests want them."""
    topics: dict[str, list[tuple[Any, ...]]] = {}
    for (topic, _), row in rows.items():
        topics.setdefault(topic, []).append(row)
    return topics
