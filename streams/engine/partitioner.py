"""Where a key lives: murmur2, as Java's producer and librdkafka's `murmur2_random` compute it.

In Python a key costs more than a microsecond, which was every twentieth of an order. So the keys of a batch
are hashed together: those of one length stand side by side in one large integer, 64 bits for each, and every
step of the hash is one operation on all of them. A product of two 32-bit numbers does not leave its 64 bits.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from struct import Struct, unpack

_SEED, _M, _MASK = 0x9747B28C, 0x5BD1E995, 0xFFFFFFFF
_LANE = 8
"""Bytes that a key takes in such an integer."""

FEW = 8
"""So few keys of one length are hashed one by one, when somebody asks."""

MAX_KNOWN = 200_000
_known: dict[bytes, int] = {}


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key in a topic with `partitions` partitions."""
    hashed = _known.get(key)
    if hashed is None:
        _make_room()
        hashed = _known[key] = murmur2(key) & 0x7FFFFFFF
    return hashed % partitions


def learn(keys: Iterable[bytes]) -> None:
    """Hash the keys of a batch together, before `partition_of` is asked about each."""
    _make_room()
    by_length: dict[int, list[bytes]] = {}
    for key in keys:
        if key not in _known:
            by_length.setdefault(len(key), []).append(key)
    for length, alike in by_length.items():
        if len(alike) > FEW:
            _known.update(zip(alike, _murmur2_of_all(alike, length), strict=True))


def murmur2(data: bytes) -> int:
    """The 32-bit hash that Kafka partitions by (org.apache.kafka.common.utils.Utils.murmur2), unsigned."""
    length = len(data)
    h = _SEED ^ length
    count = length >> 2
    for k in _words(count).unpack_from(data):
        k = k * _M & _MASK
        h = (h * _M ^ (k ^ k >> 24) * _M) & _MASK
    tail = data[count << 2 :]
    if tail:
        h = (h ^ int.from_bytes(tail, "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


def _murmur2_of_all(keys: list[bytes], length: int) -> list[int]:
    """The lower 31 bits of the hashes of keys that are `length` bytes long: `murmur2`, step by step."""
    joined, count = b"".join(keys), len(keys)
    ones = int.from_bytes(b"\1\0\0\0\0\0\0\0" * count, "little")
    mask = _MASK * ones
    h = (_SEED ^ length) * ones
    for at in range(0, length - 3, 4):
        k = _lanes(joined, length, at, 4, count) * _M & mask
        h = (h * _M ^ ((k ^ k >> 24) & mask) * _M) & mask  # what a shift takes from the next key is masked
    if tail := length & 3:
        h = (h ^ _lanes(joined, length, length - tail, tail, count)) * _M & mask
    h = ((h ^ h >> 13) & mask) * _M & mask
    h = (h ^ h >> 15) & (0x7FFFFFFF * ones)
    return list(unpack(f"<{count}Q", h.to_bytes(_LANE * count, "little")))


def _lanes(joined: bytes, length: int, at: int, width: int, count: int) -> int:
    """The `width` bytes at `at` of each key as a little-endian number, side by side."""
    lanes = bytearray(_LANE * count)
    for byte in range(width):
        lanes[byte::_LANE] = joined[at + byte :: length]
    return int.from_bytes(lanes, "little")


def _make_room() -> None:
    if len(_known) >= MAX_KNOWN:
        _known.clear()


@cache
def _words(count: int) -> Struct:
    return Struct(f"<{count}I")
