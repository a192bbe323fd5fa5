"""From the records of promotion-commands to the commands of the promotions core."""

from __future__ import annotations

from typing import cast

import msgspec

from schemas.fields import milliseconds
from schemas.parsing import parse
from schemas.promotions import MS_PER_MINUTE, PromotionEnd, PromotionStart
from schemas.topics import PROMOTION_END, PROMOTION_START
from streams.ledger.commands import (
    EndPromotion,
    PromotionCommand,
    StartPromotion,
    decode_promotion_command,
)
from streams.ledger.terms import Envelope

_decode_envelope = msgspec.msgpack.Decoder(Envelope).decode


def decode(value: bytes, envelope: bytes | None) -> PromotionCommand | StartPromotion | EndPromotion:
    """The command in a record: an input event where it has an envelope header, else one of our own.

    Events are rare here, so they are read by the very models that intake validated them with: two readers
    that differ in a detail (a field twice, a NaN in a field that nobody needs) would make a poison record of
    what intake let through.

    Raises `schemas.invalid.InvalidEvent` for an event that these models refuse, and
    `msgspec.MsgspecError` for bytes that are none of our commands.
    """
    if envelope is None:
        command: PromotionCommand = decode_promotion_command(value)
        return command
    found: Envelope = _decode_envelope(envelope)
    event_bytes = value if found.mapped is None else found.mapped
    # The topic's name may carry TOPIC_PREFIX in front.
    if found.source.topic.endswith(PROMOTION_END):
        return _end_of(found, cast(PromotionEnd, parse(PROMOTION_END, event_bytes)), value)
    return _start_of(found, cast(PromotionStart, parse(PROMOTION_START, event_bytes)), value)


def _start_of(envelope: Envelope, event: PromotionStart, original: bytes) -> StartPromotion:
    promotion = event.promotion
    return StartPromotion(
        source=envelope.source,
        terms=envelope.terms,
        placed_at_ms=envelope.placed_at_ms,
        promotion_id=promotion.id,
        lines=event.normalised_items(),
        duration_ms=(promotion.duration_minutes or 0) * MS_PER_MINUTE,
        expires_at_ms=0 if promotion.expires_at is None else milliseconds(promotion.expires_at),
        attributes=event.attributes_json(),
        original=original,
    )


def _end_of(envelope: Envelope, event: PromotionEnd, original: bytes) -> EndPromotion:
    return EndPromotion(
        source=envelope.source,
        terms=envelope.terms,
        placed_at_ms=envelope.placed_at_ms,
        promotion_id=event.promotion.id,
        reason=event.promotion.reason or "",
        original=original,
    )
