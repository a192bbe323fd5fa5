"""What the ledger asks of Fluent: the records of `fluent-requests` (key = SKU).

The ledger owns a request: its row holds the outstanding one and its number, and asks again until it is
answered. The gateway is stateless. A higher `number` of the same reservation supersedes a lower one.
Quantities are absolute, so every request can be repeated. A page of verifies is no request of a reservation:
nothing waits for it, and where it is lost, the next round asks.
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated

import msgspec


class _Request(msgspec.Struct, array_like=True, gc=False):
    promotion_id: str
    sku: str
    number: int
    reservation_ref: str


class HoldRequest(_Request, tag=1):
    """Hold `quantity` units. `attributes` is the promotion's own JSON object; it may be empty.

    `trace`, here and below, is the trace context of the promotion's start, empty where it had none.
    """

    quantity: int
    expires_at_ms: int
    attributes: bytes = b""
    trace: str = ""


class SettleRequest(_Request, tag=2):
    """Make the hold exactly `remaining` units; with `book_sale` first book -`consumed` as SALE."""

    remaining: int
    consumed: int
    book_sale: bool = False
    trace: str = ""


class ReleaseRequest(_Request, tag=3):
    """End the hold; with `book_sale` first book -`consumed` as SALE.

    `confirmed`: Fluent has confirmed the hold, so something is there under its refs, ended or not.
    """

    consumed: int
    book_sale: bool = False
    trace: str = ""
    confirmed: bool = False


class VerifyRequest(_Request, tag=4):
    """Compare Fluent with `held` (and `consumed`, with `book_sale`); `closed` also undoes what came late.

    `differed` says that a difference is known, so that agreement is news.
    """

    held: int
    consumed: int
    book_sale: bool
    closed: bool
    differed: bool = False


ALONE = -1
"""The page of one reservation that is verified between two rounds."""


class VerifyPage(msgspec.Struct, array_like=True, gc=False, tag=5):
    """Compare many open reservations at once, of one partition; only those that differ are answered for.

    `round` and `page` are the partition's numbers for it. What a line has as its number is that of the
    reservation's newest request: once there is a newer one, the line is outdated.
    """

    round: int
    page: int
    lines: Annotated[list[VerifyRequest], msgspec.Meta(min_length=1)]

    @property
    def sku(self) -> str:
        """Of the first line: the record's key, which leads the answer back to the partition that asks."""
        return self.lines[0].sku

    @property
    def alone(self) -> bool:
        """Whether it is about one reservation, and of no round."""
        return self.page == ALONE


FluentRequest = HoldRequest | SettleRequest | ReleaseRequest | VerifyRequest
"""About one reservation."""

AnyRequest = FluentRequest | VerifyPage

encode_request = msgspec.msgpack.Encoder().encode
decode_request = msgspec.msgpack.Decoder(AnyRequest).decode

MAX_STEM_CHARS = 90
"""Fluent allows 100 characters in a ref; `-<n>` for the position and `-sale-<n>` must still fit."""

_BOTH_CHARS = MAX_STEM_CHARS - len("FS---12345678")
"""What promotion and SKU have together."""

_UNUSUAL = re.compile(r"[^A-Za-z0-9._:-]")


def reservation_ref(promotion_id: str, sku: str) -> str:
    """The stem of a reservation's refs in Fluent: the same for every repeat, never from a clock.

    `FS-<promotion>-<sku>-<digest>`, of at most `MAX_STEM_CHARS`. The digest of both tells apart what looks
    the same, as (`SUMMER-24`, `A`) and (`SUMMER`, `24-A`) do. A name that is too long, or has characters that
    a ref should not have, is shown by its beginning and a digest of its own.
    """
    for_sku = max(_BOTH_CHARS // 2, _BOTH_CHARS - len(_shown(promotion_id)))
    shown_sku = _shown(sku, for_sku)
    shown_promotion = _shown(promotion_id, _BOTH_CHARS - len(shown_sku))
    both = _digest(f"{promotion_id}\0{sku}", 4)
    return f"FS-{shown_promotion}-{shown_sku}-{both}"


def _shown(name: str, chars: int = _BOTH_CHARS) -> str:
    plain = _UNUSUAL.sub("_", name)
    if plain == name and len(name) <= chars:
        return name
    own = _digest(name, 8)
    return f"{plain[: chars - len(own) - 1]}.{own}"


def _digest(text: str, size: int) -> str:
    return hashlib.blake2b(text.encode(), digest_size=size).hexdigest()
