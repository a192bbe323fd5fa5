"""Records that aiokafka does not read, as any client may send them, are read like all others."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition

from streams.engine.host.batches import Batches
from streams.engine.stage import Withheld
from tests.support.bombs import batch_of, record
from tests.support.odd_records import AT_MS, Headers, batch

NO_TEXT: Headers = [(b"\xff\xfe", b"1"), (b"traceparent", None)]
ODD: list[tuple[bytes, Headers]] = [(b"a", [(b"reason", b"x")]), (b"b", NO_TEXT), (b"c", [])]


def read(records: Any, begin: int = 0) -> list[Any]:
    """As a fetcher does."""
    found = PartitionRecords(TopicPartition("t", 0), records, [], begin, None, None, True, 1)
    found._consumer_record = lambda _, record: record
    return list(found)


@pytest.mark.parametrize("compression", [0, 1, 4], ids=["as it is", "gzip", "zstd"])
def test_a_header_whose_name_is_no_text_keeps_no_record_from_being_read(compression: int) -> None:
    data = batch(ODD, compression=compression)
    with pytest.raises(ValueError, match="decode"):
        read(MemoryRecords(data))
    found = read(Batches(data))
    assert [(each.offset, each.key, each.value, each.timestamp) for each in found] == [
        (0, b"key", b"a", AT_MS),
        (1, b"key", b"b", AT_MS),
        (2, b"key", b"c", AT_MS),
    ]
    assert [list(each.headers) for each in found] == [
        [("reason", b"x")],
        [("\ufffd\ufffd", b"1"), ("traceparent", None)],
        [],
    ]


def stamped(data: bytes, first_ms: int, last_ms: int, *, by_broker: bool) -> bytes:
    """The batch with other times, which are the broker's or its producer's."""
    made, at = bytearray(data), _DefaultRecordBatchPy.ATTRIBUTES_OFFSET
    made[at + 1] |= _DefaultRecordBatchPy.TIMESTAMP_TYPE_MASK if by_broker else 0
    struct.pack_into(">qq", made, at + 6, first_ms, last_ms)
    struct.pack_into(">I", made, _DefaultRecordBatchPy.CRC_OFFSET, calc_crc32c(bytes(made[at:])))
    return bytes(made)


@pytest.mark.parametrize(
    "data",
    [batch(ODD[:1]), batch(ODD), batch(ODD, compression=4), batch_of(b"is none", 4, 3)],
    ids=["quick", "tolerant", "unpacked", "withheld"],
)
@pytest.mark.parametrize("by_broker", [True, False])
def test_a_record_has_the_brokers_time_where_the_batch_has(data: bytes, by_broker: bool) -> None:
    """However it is read: whether an order is in time depends on it."""
    found = read(Batches(stamped(data, 1_000, 9_000, by_broker=by_broker)))
    assert {(each.timestamp, each.timestamp_type) for each in found} == (
        {(9_000, 1)} if by_broker else {(1_000, 0)}
    )


def test_a_record_that_says_it_is_longer_than_what_there_is_is_withheld_and_those_before_it_are_read() -> (
    None
):
    plain = record(0, b"a") + record(1, b"b")
    cut = record(2, b"x" * 50)[:-10]
    found = read(Batches(batch_of(plain + cut, 0, 3)))
    assert [(each.offset, each.value) for each in found] == [(0, b"a"), (1, b"b"), (2, None)]
    assert isinstance(found[2], Withheld)


def test_attributes_of_a_record_are_one_byte_whatever_it_is() -> None:
    data = batch([(b"a", []), (b"b", [])], attributes=0x80)
    with pytest.raises(Exception, match="record"):
        read(MemoryRecords(data))
    assert [each.value for each in read(Batches(data))] == [b"a", b"b"]


def test_a_fetch_that_begins_in_the_middle_of_a_batch_has_no_record_twice() -> None:
    data = batch(ODD)
    assert [each.offset for each in read(Batches(data), begin=1)] == [1, 2]


def test_what_is_no_record_at_all_is_an_error_as_before() -> None:
    data = bytearray(batch(ODD))
    data[-4] ^= 1
    with pytest.raises(Exception, match="CRC"):
        read(Batches(bytes(data)))
