"""Records that Kafka takes and no client of ours would send: a stranger's client may."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy, _DefaultRecordBatchPy
from aiokafka.record.util import calc_crc32c

Headers = Sequence[tuple[bytes, bytes | None]]

AT_MS = 1_700_000_000_000
FIRST_ATTRIBUTES = _DefaultRecordBatchPy.HEADER_STRUCT.size + 1
"""Where those of a batch's first record stand, if it is shorter than 64 bytes."""


class _Name(str):
    """The name of a header that is no text."""

    __slots__ = ("raw",)
    raw: bytes

    def encode(self, *_: Any) -> bytes:
        """The bytes that it really has."""
        return self.raw


def name(raw: bytes) -> str:
    """A header's name of just these bytes."""
    made = _Name("?")
    made.raw = raw
    return made


def batch(records: Sequence[tuple[bytes, Headers]], attributes: int = 0, compression: int = 0) -> bytes:
    """A batch of values with headers; `attributes` are those of its first record."""
    builder = _DefaultRecordBatchBuilderPy(2, compression, 0, -1, -1, -1, 1 << 20)
    for offset, (value, headers) in enumerate(records):
        builder.append(offset, AT_MS, b"key", value, [(name(raw), content) for raw, content in headers])
    built = bytearray(builder.build())
    if attributes:
        built[FIRST_ATTRIBUTES] = attributes
        checked = calc_crc32c(bytes(built[_DefaultRecordBatchPy.ATTRIBUTES_OFFSET :]))
        struct.pack_into(">I", built, _DefaultRecordBatchPy.CRC_OFFSET, checked)
    return bytes(built)


async def send(
    bootstrap: str, topic: str, partition: int, value: bytes, headers: Headers, count: int = 1
) -> None:
    """Equal records with these headers."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        built = producer.create_batch()
        built._builder = _DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, -1, 1 << 20)
        named = [(name(raw), content) for raw, content in headers]
        for _ in range(count):
            built.append(key=b"key", value=value, timestamp=AT_MS, headers=named)
        await (await producer.send_batch(built, topic, partition=partition))
    finally:
        await producer.stop()
