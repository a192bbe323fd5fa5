"""What tasks decided becomes batches: where a key lives, in order, none larger than a message makes it."""

from __future__ import annotations

from random import Random

import pytest
from aiokafka.partitioner import murmur2 as reference
from aiokafka.record.default_records import DefaultRecordBatch
from hypothesis import given
from hypothesis import strategies as st

from streams.engine import partitioner
from streams.engine.broker.producer import BATCH_BYTES
from streams.engine.outbox import Outbox
from streams.engine.partitioner import FEW, learn, murmur2, partition_of
from streams.ledger.effects import Send

PARTITIONS = 5


def sent(*sends: Send, own: int = 3) -> list[tuple[tuple[str, int], list[bytes | None]]]:
    """The values in each batch."""
    outbox = Outbox(lambda _topic: PARTITIONS, lambda topic: f"x-{topic}")
    outbox.add_sends(list(sends), own)
    outbox.add_rows({b"row": b"1", b"gone": None}, "changelog", own)
    found = []
    for place, batch in outbox.batches:
        records = DefaultRecordBatch(bytes(batch._build()))
        found.append((place, [record.value for record in records]))
    return found


@given(st.binary(max_size=300))
def test_a_key_is_hashed_as_javas_producer_does(key: bytes) -> None:
    assert murmur2(key) == reference(key) & 0xFFFFFFFF
    assert partition_of(key, 12) == (reference(key) & 0x7FFFFFFF) % 12


@given(st.lists(st.integers(0, 9), max_size=60), st.randoms(use_true_random=False))
def test_the_keys_of_a_batch_are_hashed_together_as_each_alone(lengths: list[int], chance: Random) -> None:
    keys = [chance.randbytes(length) for length in lengths + lengths]
    learn(keys)
    assert [partition_of(key, 2**31) for key in keys] == [reference(key) & 0x7FFFFFFF for key in keys]


@pytest.mark.parametrize("length", [*range(1, 40), 255, 256])
def test_keys_of_any_length_are_hashed_together(length: int) -> None:
    chance = Random(length)
    keys = [chance.randbytes(length) for _ in range(4 * FEW)] + [b"\xff" * length, b"\0" * length]
    learn(keys)
    assert [partition_of(key, 2**31) for key in keys] == [murmur2(key) & 0x7FFFFFFF for key in keys]


def test_a_key_that_was_hashed_is_not_hashed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[bytes, int] = {}
    monkeypatch.setattr(partitioner, "_known", known)
    learn([b"%03d" % number for number in range(FEW)])
    assert known == {}, "so few are hashed when somebody asks"
    keys = [b"%03d" % number for number in range(FEW + 1)]
    learn([*keys, b"of another length"])
    assert known.keys() == {*keys}
    partition_of(b"of another length", 12)
    monkeypatch.setattr(partitioner, "murmur2", None)
    monkeypatch.setattr(partitioner, "_murmur2_of_all", None)
    learn(keys)
    assert [partition_of(key, 12) for key in [*keys, b"of another length"]]


def test_no_more_keys_are_known_than_there_is_memory_for(monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[bytes, int] = {}
    monkeypatch.setattr(partitioner, "_known", known)
    monkeypatch.setattr(partitioner, "MAX_KNOWN", 10)
    counts = []
    for number in range(21):
        partition_of(b"%d" % number, 12)
        counts.append(len(known))
    assert counts == [*range(1, 11), *range(1, 11), 1]
    learn([b"%03d" % number for number in range(20)])
    assert len(known) == 21
    learn([b"%03d" % number for number in range(FEW + 1)])
    assert len(known) == FEW + 1


def test_records_go_to_their_keys_partition_in_order_and_rows_to_the_tasks() -> None:
    first, second = Send("out", b"k", b"1"), Send("out", b"k", b"2")
    home = partition_of(b"k", PARTITIONS)
    assert sent(first, second) == [(("x-out", home), [b"1", b"2"]), (("changelog", 3), [b"1", None])]


def test_what_is_the_tasks_own_or_has_no_key_goes_to_the_tasks_partition() -> None:
    sends = [Send("out", b"k", b"1", own=True), Send("out", None, b"2")]
    assert sent(*sends, own=7)[0] == (("x-out", 7 % PARTITIONS), [b"1", b"2"])


def test_a_full_batch_is_followed_by_another_and_a_large_message_is_a_batch_of_its_own() -> None:
    half, large = b"h" * (BATCH_BYTES * 2 // 3), b"l" * (3 * BATCH_BYTES)
    batches = [values for place, values in sent(*(Send("out", b"k", v) for v in (half, half, large, b"s")))]
    assert batches[:-1] == [[half], [half], [large], [b"s"]]


def test_headers_travel() -> None:
    outbox = Outbox(lambda _topic: 1, str)
    outbox.add_sends([Send("out", b"k", b"v", [("h", b"1")])], 0)
    [(_, batch)] = outbox.batches
    [record] = DefaultRecordBatch(bytes(batch._build()))
    assert list(record.headers) == [("h", b"1")]
