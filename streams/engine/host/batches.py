"""Reading the batches of a fetch, those too that hold what aiokafka cannot read.

aiokafka takes the name of a header for UTF-8 and a record's attributes for a number of variable length. Kafka
checks neither, and whoever may write to an input topic may write such a record. It would end every worker
that fetches it, again and again, before a stage could see it and turn it away.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import aiokafka.consumer.fetcher
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy, _DefaultRecordPy
from aiokafka.record.memory_records import _MemoryRecordsPy
from aiokafka.record.util import decode_varint


def install() -> None:
    """Let aiokafka's fetchers read batches in this way."""
    aiokafka.consumer.fetcher.MemoryRecords = Batches


class Batches(_MemoryRecordsPy):  # type: ignore[misc]
    """What a fetch brought of a partition, batch by batch."""

    def next_batch(self) -> Any:
        """As aiokafka's; batches of former versions have no headers, and are read as ever."""
        data, batch = self._next_slice, super().next_batch()
        return Batch(batch, data) if isinstance(batch, DefaultRecordBatch) else batch


class Batch:
    """One batch, as aiokafka reads it quickly, and tolerantly where that fails."""

    def __init__(self, quick: Any, data: memoryview) -> None:
        self._quick = quick
        self._data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._quick, name)

    def __next__(self) -> Any:
        return next(self._quick)

    def __iter__(self) -> Iterator[Any]:
        """All records; from the first on again where one cannot be read: the fetcher skips what it had."""
        try:
            yield from self._quick
        except Exception:
            yield from Tolerant(self._data)


class Tolerant(_DefaultRecordBatchPy):  # type: ignore[misc]
    """Reads what Kafka's own consumer reads: one byte of attributes, and names of headers as they come."""

    _pos: int

    def _read_msg(self) -> Any:
        buffer = self._buffer
        length, begin = decode_varint(buffer, self._pos)
        since_first_ms, pos = decode_varint(buffer, begin + 1)
        since_first, pos = decode_varint(buffer, pos)
        key, pos = _bytes(buffer, pos)
        value, pos = _bytes(buffer, pos)
        count, pos = decode_varint(buffer, pos)
        headers = []
        for _ in range(count):
            name, pos = _bytes(buffer, pos)
            content, pos = _bytes(buffer, pos)
            headers.append(((name or b"").decode(errors="replace"), content))
        self._pos = begin + length
        at_ms = self.first_timestamp + since_first_ms
        if self.timestamp_type == self.LOG_APPEND_TIME:
            at_ms = self.max_timestamp
        return _DefaultRecordPy(
            self.base_offset + since_first, at_ms, self.timestamp_type, key, value, headers
        )


def _bytes(buffer: bytearray, pos: int) -> tuple[bytes | None, int]:
    """What is preceded by its length, -1 for nothing; and where it ends."""
    length, pos = decode_varint(buffer, pos)
    return (None, pos) if length < 0 else (bytes(buffer[pos : pos + length]), pos + length)
