"""The ids of topics, asked of a broker. One that was deleted and created again has another id (KIP-516).

aiokafka 0.14 asks for metadata without them.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from io import BytesIO
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Schema, TaggedFields

from streams.engine.broker.requests import TAGS

NONE = bytes(16)
"""The id of a topic that is not known, or that a broker before Kafka 2.8 has created."""

_STRING = CompactString("utf-8")


class Uuid(AbstractType[str]):  # type: ignore[misc]
    """Sixteen bytes, in the letters of librdkafka, in which positions keep them; empty for an id of zeros."""

    @classmethod
    def encode(cls, value: str) -> bytes:
        """Only the id of a topic that is asked for by its name."""
        return NONE

    @classmethod
    def decode(cls, data: BytesIO) -> str:
        """Base64 without the padding; Kafka's own tools write - and _ for + and /."""
        found = data.read(len(NONE))
        return "" if found == NONE else b64encode(found).decode().rstrip("=")


class MetadataResponse10(Response):  # type: ignore[misc]
    """Brokers, and per topic its id and who leads its partitions."""

    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", _STRING),
                ("port", Int32),
                ("rack", _STRING),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", _STRING),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", _STRING),
                ("topic_id", Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader_id", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class MetadataRequest10(RequestStruct):  # type: ignore[misc]
    """What a broker knows of some topics."""

    API_KEY = 3
    API_VERSION = 10
    RESPONSE_TYPE = MetadataResponse10
    FLEXIBLE_VERSION = True
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", Uuid), ("name", _STRING), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class TopicIds(Request[MetadataRequest10]):  # type: ignore[misc]
    """Builds the request above; it creates no topic."""

    API_KEY = 3

    def __init__(self, topics: Iterable[str]) -> None:
        self.topics = sorted(set(topics))

    def build(self, request_struct_class: type[MetadataRequest10]) -> MetadataRequest10:
        """The struct that goes over the wire."""
        return request_struct_class([("", topic, TAGS) for topic in self.topics], False, False, False, TAGS)


def differ(known: str, now: str) -> bool:
    """Whether two ids of a topic of the same name name two topics; empty: not known."""
    return bool(known and now) and known != now


async def topic_ids(client: AIOKafkaClient, node: int, topics: Iterable[str]) -> dict[str, str]:
    """The ids that a broker knows of these topics; the empty text where it gives none.

    A topic of which it knows nothing is left out. Raises KafkaError.
    """
    request = TopicIds(topics)
    try:
        answer: Any = await client.send(node, request)
    except NotImplementedError:  # aiokafka, of a broker before Kafka 2.8, which knows no ids
        return dict.fromkeys(request.topics, "")
    return {name: topic_id for code, name, topic_id, *_ in answer.topics if code == 0}
