"""Batches that are small on the broker and huge once they are unpacked."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

import cramjam
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.util import calc_crc32c, encode_varint

from tests.support.odd_records import AT_MS

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
PIECE = bytes(1 << 20)
XERIAL_HEADER = b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1)


def batch_of(packed: bytes, codec: int, count: int, base_offset: int = 0) -> bytes:
    """A batch of these bytes, whatever they are, with a header that says `count` records."""
    struct_of = _DefaultRecordBatchPy.HEADER_STRUCT
    length = struct_of.size + len(packed) - _DefaultRecordBatchPy.AFTER_LEN_OFFSET
    times, producer = (AT_MS, AT_MS), (-1, -1, -1)
    head = struct_of.pack(base_offset, length, 0, 2, 0, codec, count - 1, *times, *producer, count)
    made = bytearray(head + packed)
    checked = calc_crc32c(bytes(made[_DefaultRecordBatchPy.ATTRIBUTES_OFFSET :]))
    struct.pack_into(">I", made, _DefaultRecordBatchPy.CRC_OFFSET, checked)
    return bytes(made)


def record(number: int, value: bytes, headers: int = 0) -> bytes:
    """A record as it stands in a batch, without a key; its headers have no name and no value."""
    body = bytearray(b"\x00")
    for each in (0, number, -1, len(value)):
        encode_varint(each, body.append)
    body += value
    encode_varint(headers, body.append)
    body += b"\x00\x01" * headers
    made = bytearray()
    encode_varint(len(body), made.append)
    return bytes(made + body)


def bomb(codec: int, size: int, count: int = 1, base_offset: int = 0) -> bytes:
    """A batch that says it has `count` records, and unpacks to `size` zeros."""
    return batch_of(_packed(codec, size), codec, count, base_offset)


def packed(codec: int, plain: bytes) -> bytes:
    """Bytes as a producer compresses them."""
    return _PACKERS[codec](iter([plain]))


def _packed(codec: int, size: int) -> bytes:
    return _PACKERS[codec](PIECE for _ in range(size // len(PIECE)))


def _xerial(pieces: Iterator[bytes]) -> bytes:
    blocks = [bytes(cramjam.snappy.compress_raw(piece)) for piece in pieces]
    return XERIAL_HEADER + b"".join(struct.pack(">i", len(block)) + block for block in blocks)


def _by(compressor: Callable[[], Any]) -> Callable[[Iterator[bytes]], bytes]:
    def pack(pieces: Iterator[bytes]) -> bytes:
        made = compressor()
        for piece in pieces:
            made.compress(piece)
        return bytes(made.finish())

    return pack


_PACKERS: dict[int, Callable[[Iterator[bytes]], bytes]] = {
    GZIP: _by(cramjam.gzip.Compressor),
    SNAPPY: _xerial,
    LZ4: _by(cramjam.lz4.Compressor),
    ZSTD: _by(cramjam.zstd.Compressor),
}
