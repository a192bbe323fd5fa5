"""What the ledger asks of Fluent: the records of `fluent-requests` (key = SKU).

The ledger owns a request: its row holds the outstanding one and its number, and asks again until it is
answered. The gateway is stateless. A higher `number` of the same reservation supersedes a lower one.
Quantities are absolute, so every request can be repeated.
"""

from __future__ import annotations

import hashlib
import re

import msgspec


class _Request(msgspec.Struct, array_like=True, gc=False):
    promotion_id: str
    sku: str
    number: int
    reservation_ref: str


class HoldRequest(_Request, tag=1):
    """Hold `quantity` units. `attributes` is the promotion's own JSON object, or empty."""

    quantity: int
    expires_at_ms: int
    attributes: bytes = b""


class SettleRequest(_Request, tag=2):
    """Make the hold exactly `remaining` units; with `book_sale` first book -`consumed` as SALE."""

    remaining: int
    consumed: int
    book_sale: bool = False


class ReleaseRequest(_Request, tag=3):
    """End the hold; with `book_sale` first book -`consumed` as SALE."""

    consumed: int
    book_sale: bool = False


class VerifyRequest(_Request, tag=4):
    """Compare Fluent with `held` (and `consumed`, with `book_sale`); `closed` also undoes what came late."""

    held: int
    consumed: int
    book_sale: bool
    closed: bool


FluentRequest = HoldRequest | SettleRequest | ReleaseRequest | VerifyRequest

encode_request = msgspec.msgpack.Encoder().encode
decode_request = msgspec.msgpack.Decoder(FluentRequest).decode

MAX_STEM_CHARS = 90
"""Fluent allows 100 characters in a ref; `-<n>` for the position and `-sale` must still fit."""

_PLAIN = re.compile(r"[A-Za-z0-9._:-]+\Z")


def reservation_ref(promotion_id: str, sku: str) -> str:
    """The stem of a reservation's refs in Fluent: the same for every repeat, never from a clock."""
    plain = f"FS-{promotion_id}-{sku}"
    if len(plain) <= MAX_STEM_CHARS and _PLAIN.match(plain):
        return plain
    digest = hashlib.blake2b(f"{promotion_id}\0{sku}".encode(), digest_size=20).hexdigest()
    return f"FS-{digest}"
