"""Unpacking a compressed batch into a bounded number of bytes, whatever it holds.

Zeros shrink to a thousandth with gzip and to a thirty-thousandth with zstd, and Kafka limits a batch by what
it has shrunk to. aiokafka unpacks it whole: a batch of a megabyte would end every worker that fetches it, for
want of memory.
"""

from __future__ import annotations

import mmap
import struct
import threading
from collections.abc import Callable, Mapping

import cramjam
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy

MAX_UNPACKED_BYTES = 64 << 20
"""Of one batch: sixteen times what a producer of the largest input may send at once."""
KEPT_BYTES = 1 << 20

HEADER_BYTES = _DefaultRecordBatchPy.HEADER_STRUCT.size
CODEC_AT = _DefaultRecordBatchPy.ATTRIBUTES_OFFSET + 1
CODEC = _DefaultRecordBatchPy.CODEC_MASK
XERIAL = b"\x82SNAPPY\x00"
XERIAL_HEADER_BYTES = 16


class _Scratch(threading.local):
    """Where a thread unpacks. Its pages are the system's until they are written to."""

    room: memoryview | None = None

    def take(self) -> memoryview:
        """Room for the largest batch. Who has filled much of it gives it back to the system by `drop`."""
        if self.room is None:
            flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
            self.room = memoryview(mmap.mmap(-1, HEADER_BYTES + MAX_UNPACKED_BYTES, flags))
        return self.room

    def drop(self) -> None:
        """Keep no memory."""
        self.room = None


_scratch = _Scratch()


def unpacked(batch: memoryview) -> memoryview:
    """The same batch, compressed no more.

    Raises an error of the codec's for one that is no such batch, or would be larger than MAX_UNPACKED_BYTES.
    """
    codec = batch[CODEC_AT] & CODEC
    if codec not in _INTO:
        raise ValueError(f"there is no compression {codec}")
    room, size = _scratch.take(), MAX_UNPACKED_BYTES
    try:
        size = _INTO[codec](batch[HEADER_BYTES:], room[HEADER_BYTES:])
        room[:HEADER_BYTES] = batch[:HEADER_BYTES]
        room[CODEC_AT] &= ~CODEC
        return memoryview(bytearray(room[: HEADER_BYTES + size]))
    finally:
        if size > KEPT_BYTES:
            _scratch.drop()


def _snappy(data: memoryview, room: memoryview) -> int:
    """Bare, or in the frames of the Java library xerial, which Kafka's own clients write."""
    if data[: len(XERIAL)] != XERIAL:
        return cramjam.snappy.decompress_raw_into(data, room)
    at, size = XERIAL_HEADER_BYTES, 0
    while at < len(data):
        (length,) = struct.unpack_from(">i", data, at)
        at += 4
        if not 0 < length <= len(data) - at:
            raise ValueError(f"a block of {length} bytes")
        size += cramjam.snappy.decompress_raw_into(data[at : at + length], room[size:])
        at += length
    return size


_INTO: Mapping[int, Callable[[memoryview, memoryview], int]] = {
    DefaultRecordBatch.CODEC_GZIP: cramjam.gzip.decompress_into,
    DefaultRecordBatch.CODEC_SNAPPY: _snappy,
    DefaultRecordBatch.CODEC_LZ4: cramjam.lz4.decompress_into,
    DefaultRecordBatch.CODEC_ZSTD: cramjam.zstd.decompress_into,
}
"""Each writes into the room that it is given, and fails where that is full."""
