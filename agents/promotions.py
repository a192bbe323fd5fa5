"""The agent of `promotion-commands`: intake's events and our own commands, decided by the promotions core."""

from __future__ import annotations

from typing import cast

import faust

from agents.shell import CommandStage, WireName, channel, decide, decoder
from schemas.fields import milliseconds
from schemas.parsing import parse
from schemas.promotions import MS_PER_MINUTE, PromotionEnd, PromotionStart
from schemas.topics import PROMOTION_COMMANDS, PROMOTION_END, PROMOTION_START
from streams.engine.host.app import EngineApp
from streams.ledger import promotions as core
from streams.ledger.commands import decode_promotion_command
from streams.ledger.inputs import EndPromotion, StartPromotion
from streams.ledger.terms import Envelope


def register(app: EngineApp) -> None:
    """Let `app` decide what comes in on `promotion-commands`."""

    @app.agent(channel(app, PROMOTION_COMMANDS), name=PROMOTION_COMMANDS)
    async def promotions(stream: faust.StreamT[bytes]) -> None:
        async for event in stream.events():
            await decide(app, event)


def stage(wire_name: WireName) -> CommandStage:
    """Decodes each record of `promotion-commands` and lets the promotions core decide."""
    return CommandStage(PROMOTION_COMMANDS, wire_name(PROMOTION_COMMANDS), decode, EVENTS, core)


# Events are rare here, so they are read by the very models that intake validated them with: two readers that
# differ in a detail (a field twice, a NaN in a field that nobody needs) would make a poison record of what
# intake let through. They raise `schemas.invalid.InvalidEvent` for what they refuse.


def _start(envelope: Envelope, value: bytes, original: bytes) -> StartPromotion:
    event = cast(PromotionStart, parse(PROMOTION_START, value))
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


def _end(envelope: Envelope, value: bytes, original: bytes) -> EndPromotion:
    promotion = cast(PromotionEnd, parse(PROMOTION_END, value)).promotion
    return EndPromotion(
        source=envelope.source,
        terms=envelope.terms,
        placed_at_ms=envelope.placed_at_ms,
        promotion_id=promotion.id,
        reason=promotion.reason or "",
        original=original,
    )


EVENTS = {PROMOTION_START: _start, PROMOTION_END: _end}
decode = decoder(decode_promotion_command, EVENTS)
