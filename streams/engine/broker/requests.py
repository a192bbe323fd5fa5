"""The requests that aiokafka 0.14 has in older versions only: TxnOffsetCommit v3 and OffsetFetch v7.

v0 of the first carries no generation, so the broker could not refuse a former owner; v3 of the second knows
nothing of offsets that an open transaction is about to change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

TopicPartitions = Iterable[tuple[str, int]]
TAGS: dict[int, bytes] = {}
_STRING = CompactString("utf-8")


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


def by_topic(rows: Mapping[tuple[str, int], tuple[Any, ...]]) -> dict[str, list[tuple[Any, ...]]]:
    """Rows of partitions, grouped by their topic as requests want them."""
    topics: dict[str, list[tuple[Any, ...]]] = {}
    for (topic, _), row in rows.items():
        topics.setdefault(topic, []).append(row)
    return topics
