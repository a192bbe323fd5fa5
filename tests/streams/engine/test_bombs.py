"""A compressed batch that is small on the broker and huge unpacked costs a worker little memory."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import cramjam
import pytest

from schemas.topics import MAX_MESSAGE_BYTES
from streams.engine.host import batches, unpacking
from streams.engine.host.batches import FETCH_BYTES, MAX_HEADERS, MAX_WITHHELD, Batches
from streams.engine.host.unpacking import MAX_UNPACKED_BYTES
from streams.engine.stage import Withheld
from tests.streams.engine.test_batches import read
from tests.support.bombs import GZIP, LZ4, SNAPPY, XERIAL_HEADER, ZSTD, batch_of, bomb, packed, record
from tests.support.odd_records import AT_MS

CODECS = pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD], ids=["gzip", "snappy", "lz4", "zstd"])
HONEST = batch_of(record(0, b"honest"), 0, 1, 2)
BOMB_BYTES = 256 << 20
MAX_GROWN_BYTES = 128 << 20
"""Twice what is read of a batch at most. aiokafka itself grows by twice the bomb."""

READ = """
import json, re, sys
from streams.engine.host.batches import Batches
from tests.streams.engine.test_batches import read
def peak(): return int(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1]) << 10
data = open(sys.argv[1], "rb").read()
before = peak()
found = [(each.offset, each.value is None, getattr(each, "why", "")) for each in read(Batches(data))]
print(json.dumps([peak() - before, found]))
"""


def read_in_a_process(data: bytes, directory: Path) -> tuple[int, list[Any]]:
    """By how many bytes a process of its own has grown at most, and what it has found."""
    file = directory / "fetched"
    file.write_bytes(data)
    read = subprocess.run([sys.executable, "-c", READ, str(file)], capture_output=True, check=True)
    grown, found = json.loads(read.stdout)
    return grown, found


@CODECS
def test_of_a_bomb_each_record_is_withheld_and_what_follows_it_is_read_with_the_next_fetch(
    codec: int, tmp_path: Path
) -> None:
    made = bomb(codec, BOMB_BYTES, 2)
    grown, found = read_in_a_process(made + HONEST, tmp_path)
    assert [(offset, nothing) for offset, nothing, _ in found] == [(0, True), (1, True)]
    assert all("offsets 0 to 1" in why and "64 MiB" in why for *_, why in found)
    assert grown < MAX_GROWN_BYTES, f"{grown:,} bytes more for {len(made):,}"
    assert [each.value for each in read(Batches(HONEST), begin=2)] == [b"honest"]


@CODECS
def test_thirty_megabytes_of_json_in_three_are_read_as_they_were_sent(codec: int) -> None:
    values = [
        json.dumps({"order": {"ref": f"O-{number}"}, "pad": "x" * 900}).encode() for number in range(30_000)
    ]
    plain = b"".join(record(number, value) for number, value in enumerate(values))
    found = read(Batches(batch_of(packed(codec, plain), codec, len(values))))
    assert [each.value for each in found] == values
    assert [each.offset for each in found] == list(range(len(values)))


def test_snappy_without_a_frame_is_read_and_a_length_that_is_made_up_is_not_believed() -> None:
    bare = bytes(cramjam.snappy.compress_raw(record(0, b"bare")))
    assert [each.value for each in read(Batches(batch_of(bare, SNAPPY, 1)))] == [b"bare"]
    lie = b"\xff\xff\xff\xff\x0f" + bare[1:]
    assert [type(each) for each in read(Batches(batch_of(lie, SNAPPY, 1)))] == [Withheld]


def test_blocks_of_snappy_are_read_one_after_the_other() -> None:
    """As Java's producer writes them, 32 KiB each."""
    values = [b"%d" % number * 1_000 for number in range(4)]
    plain = b"".join(record(number, value) for number, value in enumerate(values))
    blocks = [
        bytes(cramjam.snappy.compress_raw(plain[at : at + 1_500])) for at in range(0, len(plain), 1_500)
    ]
    framed = XERIAL_HEADER + b"".join(struct.pack(">i", len(block)) + block for block in blocks)
    assert [each.value for each in read(Batches(batch_of(framed, SNAPPY, 4)))] == values


@CODECS
def test_room_is_kept_for_the_next_batch_unless_much_of_it_was_used(codec: int) -> None:
    read(Batches(batch_of(packed(codec, record(0, b"a")), codec, 1)))
    kept = unpacking._scratch.room
    read(Batches(batch_of(packed(codec, record(0, bytes(unpacking.KEPT_BYTES - 100))), codec, 1)))
    assert kept is not None and unpacking._scratch.room is kept
    read(Batches(batch_of(packed(codec, record(0, bytes(unpacking.KEPT_BYTES))), codec, 1)))
    assert unpacking._scratch.room is None


@pytest.mark.parametrize("codec", range(1, 8))
def test_what_is_no_compressed_batch_at_all_is_withheld(codec: int) -> None:
    found = read(Batches(batch_of(b"\x82SNAPPY\x00 is none", codec, 2)))
    assert [(each.offset, each.value, each.timestamp) for each in found] == [
        (0, None, AT_MS),
        (1, None, AT_MS),
    ]


def test_a_batch_that_unpacks_to_no_records_is_withheld() -> None:
    found = read(Batches(batch_of(packed(ZSTD, bytes(500)), ZSTD, 3)))
    assert [(each.offset, type(each)) for each in found] == [(number, Withheld) for number in range(3)]


def test_a_record_that_is_too_large_is_withheld_alone() -> None:
    large = bytes(MAX_MESSAGE_BYTES)
    plain = b"".join(record(number, value) for number, value in enumerate([b"a", large, b"b"]))
    found = read(Batches(batch_of(packed(ZSTD, plain), ZSTD, 3)))
    assert [(each.offset, each.value) for each in found] == [(0, b"a"), (1, None), (2, b"b")]
    assert isinstance(found[1], Withheld) and f"{MAX_MESSAGE_BYTES:,}" in found[1].why


def test_millions_of_headers_are_not_made() -> None:
    many = [record(number, b"a", headers=1_500_000) for number in range(2)]
    plain = b"".join([*many, record(2, b"b", headers=2)])
    found = read(Batches(batch_of(packed(ZSTD, plain), ZSTD, 3)))
    assert [(each.value, len(each.headers)) for each in found] == [(b"a", MAX_HEADERS)] * 2 + [(b"b", 2)]


def test_a_batch_of_very_many_records_has_as_many_letters_as_somebody_may_read() -> None:
    found = read(Batches(bomb(ZSTD, MAX_UNPACKED_BYTES << 1, 50_000_000)))
    assert [each.offset for each in found] == list(range(MAX_WITHHELD))


def test_a_fetch_ends_once_it_has_unpacked_much_and_the_next_goes_on_where_it_ended() -> None:
    piece, count = 1 << 20, 3 * FETCH_BYTES >> 20
    data = b"".join(
        batch_of(packed(ZSTD, record(0, bytes(piece))), ZSTD, 1, number) for number in range(count)
    )
    length, begin, offsets = len(data) // count, 0, []
    while begin < count:
        fetch = Batches(data[begin * length :])
        offsets += (found := [each.offset for each in read(fetch, begin)])
        assert len(found) <= FETCH_BYTES // piece and fetch.unpacked_bytes <= FETCH_BYTES + piece + 100
        begin = offsets[-1] + 1
    assert offsets == list(range(count))


def test_what_never_was_compressed_is_left_to_the_quick_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "DefaultRecordBatch", type(None))
    data = batch_of(record(0, b"a"), 0, 1)
    assert [type(each).__module__ for each in read(Batches(data))] == [
        "aiokafka.record._crecords.default_records"
    ]
