"""The agent of `promotion-commands`: intake's events and our own commands, decided by the promotions core."""

from __future__ import annotations

import faust

from agents.shell import CommandStage, Events, WireName, channel, decide, decoder
from schemas.promotions import MS_PER_MINUTE, PromotionEnd, PromotionStart
from schemas.times import milliseconds
from schemas.topics import PROMOTION_COMMANDS, PROMOTION_END, PROMOTION_START
from streams.engine.host.app import EngineApp
from streams.ledger import promotions as core
from streams.ledger.commands import decode_promotion_command
from streams.ledger.inputs import EndPromotion, StartPromotion
from streams.ledger.terms import Source, Terms


def register(app: EngineApp) -> None:
    """Let `app` decide what comes in on `promotion-commands`."""

    @app.agent(channel(app, PROMOTION_COMMANDS), name=PROMOTION_COMMANDS)
    async def promotions(stream: faust.StreamT[bytes]) -> None:
        async for event in stream.events():
            await decide(app, event)


def stage(wire_name: WireName) -> CommandStage:
    """Decodes each record of `promotion-commands` and lets the promotions core decide."""
    return CommandStage(PROMOTION_COMMANDS, wire_name(PROMOTION_COMMANDS), decode, EVENTS, core)


def _start(
    source: Source, terms: Terms, placed_at_ms: int, event: PromotionStart, original: bytes
) -> StartPromotion:
    promotion = event.promotion
    return StartPromotion(
        source=source,
        terms=terms,
        placed_at_ms=placed_at_ms,
        promotion_id=promotion.id,
        lines=event.normalised_items(),
        duration_ms=(promotion.duration_minutes or 0) * MS_PER_MINUTE,
        expires_at_ms=0 if promotion.expires_at is None else milliseconds(promotion.expires_at),
        attributes=event.attributes_json(),
        original=original,
    )


def _end(
    source: Source, terms: Terms, placed_at_ms: int, event: PromotionEnd, original: bytes
) -> EndPromotion:
    return EndPromotion(
        source=source,
        terms=terms,
        placed_at_ms=placed_at_ms,
        promotion_id=event.identity,
        reason=event.promotion.reason or "",
        original=original,
    )


EVENTS: Events = {PROMOTION_START: _start, PROMOTION_END: _end}
decode = decoder(decode_promotion_command, EVENTS)
