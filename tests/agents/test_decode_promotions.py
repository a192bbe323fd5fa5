from __future__ import annotations

import json

import msgspec
import pytest

from agents.promotions import decode
from schemas.invalid import InvalidEvent
from streams.ledger.commands import Continue, LineReserved, Tick, encode
from streams.ledger.inputs import EndPromotion, StartPromotion
from streams.ledger.terms import Envelope, Source, Terms

NOON_MS = 1_800_000_000_000
TERMS = Terms(claim_grace_ms=1)


def envelope(topic: str, mapped: bytes | None = None) -> bytes:
    source = Source(topic, 2, 41, b"key")
    return msgspec.msgpack.encode(Envelope(source, NOON_MS, TERMS, mapped))


def start(value: bytes, mapped: bytes | None = None) -> StartPromotion:
    command = decode(value, envelope("promotion-start", mapped))
    assert isinstance(command, StartPromotion)
    return command


def started(**fields: object) -> StartPromotion:
    promotion = {"id": "FLASH-1", "skus": [{"sku": "A", "quantity": 1}], **fields}
    return start(json.dumps({"promotion": promotion}).encode())


def test_a_start_brings_its_source_time_terms_and_original_bytes() -> None:
    value = b'{"promotion":{"id":"FLASH-1","skus":[{"sku":"A","quantity":1}]}} '
    assert start(value) == StartPromotion(
        Source("promotion-start", 2, 41, b"key"), TERMS, NOON_MS, "FLASH-1", (("A", 1),), 0, 0, b"", value
    )


def test_a_sku_that_is_listed_twice_is_summed_where_it_stood_first() -> None:
    skus = [{"sku": "B", "quantity": 2}, {"sku": "A", "quantity": 1}, {"sku": "B", "quantity": 3}]
    assert started(skus=skus).lines == (("B", 5), ("A", 1))


@pytest.mark.parametrize(
    ("fields", "duration_ms", "expires_at_ms"),
    [
        ({}, 0, 0),
        ({"durationMinutes": 90}, 5_400_000, 0),
        ({"expiresAt": "2027-01-15T08:00:00.001Z"}, 0, NOON_MS + 1),
        ({"expiresAt": "2027-01-15T10:00:00+02:00"}, 0, NOON_MS),
        ({"durationMinutes": None, "expiresAt": None}, 0, 0),
    ],
)
def test_duration_and_deadline_become_milliseconds(
    fields: dict[str, object], duration_ms: int, expires_at_ms: int
) -> None:
    command = started(**fields)
    assert (command.duration_ms, command.expires_at_ms) == (duration_ms, expires_at_ms)


@pytest.mark.parametrize(
    ("attributes", "kept"),
    [
        ({"b": 1, "a": [True, "é"]}, '{"a":[true,"é"],"b":1}'),
        ({}, "{}"),
        ([], "[]"),
        (None, ""),
    ],
)
def test_attributes_become_the_same_bytes_however_they_were_written(attributes: object, kept: str) -> None:
    assert started(attributes=attributes).attributes == kept.encode()


def test_a_ref_is_as_good_as_an_id() -> None:
    value = b'{"promotion":{"ref":"FLASH-2","skus":[{"sku":"A","quantity":1}]}}'
    assert start(value).promotion_id == "FLASH-2"
    end = decode(b'{"promotion":{"ref":"FLASH-2"}}', envelope("promotion-end"))
    assert isinstance(end, EndPromotion)
    assert end.promotion_id == "FLASH-2"


@pytest.mark.parametrize("topic", ["promotion-end", "staging.promotion-end"])
def test_an_end_is_told_by_its_topic_with_and_without_a_prefix(topic: str) -> None:
    value = b'{"promotion":{"id":"FLASH-1","reason":"wrong price"}}'
    assert decode(value, envelope(topic)) == EndPromotion(
        Source(topic, 2, 41, b"key"), TERMS, NOON_MS, "FLASH-1", "wrong price", value
    )


def test_a_mapped_event_is_read_from_the_envelope_and_keeps_its_foreign_bytes() -> None:
    mapped = b'{"promotion":{"id":"FLASH-1","skus":[{"sku":"A","quantity":1}]}}'
    command = start(b"<foreign/>", mapped)
    assert (command.promotion_id, command.original) == ("FLASH-1", b"<foreign/>")


@pytest.mark.parametrize(
    "value",
    [
        b'{"promotion":{"id":"P","skus":[{"sku":"A","quantity":1}],"ref":5,"other":NaN}}',
        b'{"promotion":7,"promotion":{"id":"P","skus":[{"sku":"A","quantity":1}]}}',
        b'{"promotion":{"id":"P","skus":[{"sku":"A","quantity":1}],"other":1e999}}',
    ],
    ids=["unknown fields of any kind", "a field twice", "a number beyond a double"],
)
def test_what_intake_lets_through_can_be_read(value: bytes) -> None:
    assert start(value).lines == (("A", 1),)


def test_an_event_that_intake_would_not_let_through_is_invalid() -> None:
    with pytest.raises(InvalidEvent, match="quantity"):
        start(b'{"promotion":{"id":"P","skus":[{"sku":"A","quantity":-1}]}}')


@pytest.mark.parametrize(
    "command", [Tick(), Continue("end", b"P\0A"), LineReserved("P", "A", 1, "FS-P-A", NOON_MS)]
)
def test_our_own_commands_have_no_envelope(command: Tick | Continue | LineReserved) -> None:
    assert decode(encode(command), None) == command


def test_bytes_that_are_no_command_are_an_error_of_msgspec() -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode(b"{}", None)
