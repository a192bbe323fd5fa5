"""Records that nobody should send: random bytes, mutated events, bombs, odd keys and headers."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.audit.evidence import ORDER_CANCELLED, ORDER_PLACED, PROMOTION_END, PROMOTION_START

ITEMS = [{"sku": "A", "quantity": 1}, {"sku": "B", "quantity": 2}]
ORDER = {"ref": "O-1", "promotionId": "P"}
VALID: dict[str, bytes] = {
    PROMOTION_START: json.dumps({"promotion": {"id": "P", "skus": ITEMS, "durationMinutes": 60}}).encode(),
    PROMOTION_END: json.dumps({"promotion": {"id": "P-OTHER", "reason": "over"}}).encode(),
    ORDER_PLACED: json.dumps({"order": {**ORDER, "items": ITEMS}}).encode(),
    ORDER_CANCELLED: json.dumps({"order": {**ORDER, "cancellationRef": "R", "items": ITEMS[:1]}}).encode(),
}
DEEP = 100_000
LARGE_BYTES = 900_000
NUMBERS = (
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"1e-400", b"-1", b"0", b"1.5", b"9" * 400,
    b"true", b'"1"', b"null"
)  # fmt: skip
TEXTS = (
    b'""', b'"\\u0000"', b'"\\ud800"', b'"\xff\xfe"', b'"' + b"x" * 300 + b'"',
    b"[]", b"{}", b"[" * 60 + b"]" * 60
)  # fmt: skip
BOMBS = (
    b"[" * DEEP,
    b'{"order":' * DEEP,
    b'{"order":{"ref":' + b"[" * DEEP + b"]" * DEEP + b"}}",
    b'{"promotion":{"id":"P","attributes":' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}}",
    b'{"order":{"ref":"' + b"x" * LARGE_BYTES + b'","promotionId":"P","items":[]}}',
    b'{"order":{"ref":"O","promotionId":"P","items":[' + b"null," * 100_000 + b"null]}}",
    b"\xef\xbb\xbf{}", b"", b"null", b"0", b'"order"', b"\x00" * 1_000, b"\x1f\x8b\x08\x00", b"\x93\xc1\xc1",
)  # fmt: skip
KEYS = (None, b"", b"O-1", b"\x00", b"\xff\xfe", b"k" * 100_000)


@dataclass(frozen=True, slots=True)
class Hostile:
    """A record for an input topic."""

    value: bytes | None
    key: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


def hostile(topic: str, chance: random.Random) -> Hostile:
    """One record: more often than not it looks nearly right."""
    make = chance.choice((_bytes, _bomb, _number, _text, _flipped, _cut, _spliced, _flipped, _number))
    value = None if chance.random() < 0.02 else make(VALID[topic], chance)
    return Hostile(value, chance.choice(KEYS), _headers(chance))


def _headers(chance: random.Random) -> tuple[tuple[str, bytes | None], ...]:
    """Our own headers, made up by somebody else, and others."""
    names = ("envelope", "source-topic", "reason", "", "bridge-client", "é")
    count = chance.choice((0, 0, 1, 3))
    return tuple(
        (chance.choice(names), chance.choice((None, b"", chance.randbytes(20)))) for _ in range(count)
    )


def _bytes(_: bytes, chance: random.Random) -> bytes:
    return chance.randbytes(chance.randrange(200))


def _bomb(_: bytes, chance: random.Random) -> bytes:
    return chance.choice(BOMBS)


def _replaced(value: bytes, chance: random.Random, found: Callable[[int], bool], by: bytes) -> bytes:
    places = [place for place in range(len(value)) if found(place)]
    if not places:
        return value
    place = chance.choice(places)
    return value[:place] + by + value[place + 1 :]


def _number(value: bytes, chance: random.Random) -> bytes:
    """A digit that is a number of its own becomes an odd number."""
    by = chance.choice(NUMBERS)
    return _replaced(
        value, chance, lambda at: value[at : at + 1].isdigit() and value[at - 1 : at] == b" ", by
    )


def _text(value: bytes, chance: random.Random) -> bytes:
    """A whole text becomes an odd one, a list or an object."""
    quotes = [at for at in range(len(value)) if value[at : at + 1] == b'"']
    first = chance.randrange(0, len(quotes), 2)
    return value[: quotes[first]] + chance.choice(TEXTS) + value[quotes[first + 1] + 1 :]


def _flipped(value: bytes, chance: random.Random) -> bytes:
    """One bit is another."""
    return _replaced(value, chance, lambda _: True, bytes([chance.choice(value) ^ 1 << chance.randrange(8)]))


def _cut(value: bytes, chance: random.Random) -> bytes:
    return value[: chance.randrange(len(value))]


def _spliced(value: bytes, chance: random.Random) -> bytes:
    """A piece stands twice."""
    first, last = sorted(chance.randrange(len(value)) for _ in range(2))
    return value[:last] + value[first:]
