"""Reading the batches of a fetch, those too that hold what aiokafka cannot read.

aiokafka takes the name of a header for UTF-8 and a record's attributes for a number of variable length, and
unpacks a batch whatever its size. Kafka checks nothing of this, and whoever may write to an input topic may
write such a record. It would end every worker that fetches it, again and again, before a stage could see it
and turn it away. What cannot be read here either comes to the stage as a record that is `Withheld`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import aiokafka.consumer.fetcher
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy, _DefaultRecordPy
from aiokafka.record.memory_records import _MemoryRecordsPy
from aiokafka.record.util import decode_varint

from schemas.topics import MAX_MESSAGE_BYTES
from streams.engine.host.unpacking import CODEC, CODEC_AT, HEADER_BYTES, MAX_UNPACKED_BYTES, unpacked
from streams.engine.stage import LOG_APPEND_TIME, Withheld

FETCH_BYTES = 16 << 20
"""What one fetch of a partition unpacks, with the batch that goes beyond it; the rest is fetched again."""

MAX_HEADERS = 100
"""Of a record in a batch that was compressed and is large: each takes two bytes there, and a hundred here."""

SHORT_BYTES = 1 << 10
"""A record of so many is taken as it is: the four thousand of a fetch have little room for headers."""

COUNT_AT = HEADER_BYTES - 4

MAX_WITHHELD = 10_000
"""Of one batch: nobody reads more dead letters that say the same, each with the offsets of all."""


def install() -> None:
    """Let aiokafka's fetchers read batches in this way."""
    aiokafka.consumer.fetcher.MemoryRecords = Batches


class Batches(_MemoryRecordsPy):  # type: ignore[misc]
    """What a fetch brought of a partition, batch by batch."""

    unpacked_bytes = 0
    """So much of it was compressed, and is not any more."""
    is_heavy = False
    """Whether that is enough for one fetch."""

    def has_next(self) -> bool:
        """Whether to go on. Otherwise the fetcher asks for what follows the last batch."""
        return self._next_slice is not None and not self.is_heavy

    def unpacked(self, count: int) -> None:
        """So many bytes more were unpacked."""
        self.unpacked_bytes += count
        self.is_heavy = self.unpacked_bytes >= FETCH_BYTES

    def next_batch(self) -> Any:
        """As aiokafka's. Batches of former versions, which brokers convert, are read as ever."""
        data, batch = self._next_slice, super().next_batch()
        return Batch(batch, data, self) if isinstance(batch, DefaultRecordBatch) else batch


class Batch:
    """One batch, as aiokafka reads it quickly, and tolerantly where that fails."""

    def __init__(self, quick: Any, data: memoryview, fetch: Batches) -> None:
        self._quick = quick
        self._data = data
        self._fetch = fetch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._quick, name)

    def __next__(self) -> Any:
        return next(self._quick)

    def __iter__(self) -> Iterator[Any]:
        """All records; from the first on again where one cannot be read: the fetcher skips what it had."""
        if self._data[CODEC_AT] & CODEC:
            yield from self._unpacked()
            return
        try:
            yield from self._quick
        except Exception:
            yield from self._tolerantly(self._data)

    def _unpacked(self) -> Iterator[Any]:
        plain, why = None, ""
        try:
            plain = unpacked(self._data)
        except Exception as error:  # not kept any longer than this: its trace holds what was unpacked
            why = f"does not unpack into {MAX_UNPACKED_BYTES >> 20} MiB ({error})"
        self._fetch.unpacked(MAX_UNPACKED_BYTES if plain is None else len(plain))
        if plain is None:
            yield from self._withheld(why)
            return
        if len(plain) <= MAX_MESSAGE_BYTES or is_ordinary(plain):
            with suppress(Exception):
                yield from DefaultRecordBatch(plain)
                return
        yield from self._tolerantly(plain)

    def _tolerantly(self, plain: memoryview) -> Iterator[Any]:
        try:
            yield from Tolerant(plain)
        except Exception as error:
            yield from self._withheld(f"cannot be read ({error})")

    def _withheld(self, what: str) -> Iterator[Withheld]:
        """What stands for the records of a batch none of which can be read."""
        quick = self._quick
        first, last = quick.base_offset, quick.next_offset - 1
        at_ms = quick.max_timestamp if quick.timestamp_type == LOG_APPEND_TIME else quick.first_timestamp
        why = f"The batch of this record, offsets {first} to {last}, {what}. Nothing of it is kept here."
        if last - first >= MAX_WITHHELD:
            last = first + MAX_WITHHELD - 1
            why += f" Only its first {MAX_WITHHELD:,} records have a dead letter."
        for offset in range(first, last + 1):
            yield Withheld(offset, at_ms, quick.timestamp_type, why)


def is_ordinary(plain: memoryview) -> bool:
    """Whether none of a batch's records is very long or has very many headers."""
    buffer, pos = plain.obj, HEADER_BYTES
    try:
        for _ in range(int.from_bytes(plain[COUNT_AT:HEADER_BYTES], "big")):
            length, begin = decode_varint(buffer, pos)
            pos = begin + length
            if length > SHORT_BYTES and (length > MAX_MESSAGE_BYTES or _headers(buffer, begin) > MAX_HEADERS):
                return False
            if length < 1:
                return False
    except (ValueError, IndexError):
        return False
    return bool(pos == len(plain))


def _headers(buffer: Any, begin: int) -> int:
    """How many headers a record has."""
    _, pos = decode_varint(buffer, begin + 1)
    _, pos = decode_varint(buffer, pos)
    for _ in ("key", "value"):
        length, pos = decode_varint(buffer, pos)
        pos += max(length, 0)
    return int(decode_varint(buffer, pos)[0])


class Tolerant(_DefaultRecordBatchPy):  # type: ignore[misc]
    """Reads what Kafka's own consumer reads: one byte of attributes, and names of headers as they come.

    What is beyond the limits of our own topics is left out.
    """

    _pos: int

    def _read_msg(self) -> Any:
        buffer = self._buffer
        length, begin = decode_varint(buffer, self._pos)
        if not 0 < length <= len(buffer) - begin:
            raise ValueError(f"a record of {length} bytes")
        self._pos = begin + length
        since_first_ms, pos = decode_varint(buffer, begin + 1)
        since_first, pos = decode_varint(buffer, pos)
        offset, at_ms = self.base_offset + since_first, self.first_timestamp + since_first_ms
        if self.timestamp_type == self.LOG_APPEND_TIME:
            at_ms = self.max_timestamp
        if length > MAX_MESSAGE_BYTES:
            why = f"The record has {length:,} bytes, of at most {MAX_MESSAGE_BYTES:,}. It is not kept here."
            return Withheld(offset, at_ms, self.timestamp_type, why)
        key, pos = _bytes(buffer, pos)
        value, pos = _bytes(buffer, pos)
        count, pos = decode_varint(buffer, pos)
        headers = []
        for _ in range(min(count, MAX_HEADERS)):
            name, pos = _bytes(buffer, pos)
            content, pos = _bytes(buffer, pos)
            headers.append(((name or b"").decode(errors="replace"), content))
        return _DefaultRecordPy(offset, at_ms, self.timestamp_type, key, value, headers)


def _bytes(buffer: bytearray, pos: int) -> tuple[bytes | None, int]:
    """What is preceded by its length, -1 for nothing; and where it ends."""
    length, pos = decode_varint(buffer, pos)
    return (None, pos) if length < 0 else (bytes(buffer[pos : pos + length]), pos + length)
