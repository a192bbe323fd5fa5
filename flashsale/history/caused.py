"""What a decision of the ledger caused for one reservation, in plain words."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, replace

import msgspec

from flashsale.history import words
from schemas.structs import OrderOutcome, ReservationRelease
from schemas.topics import (
    FLUENT_REQUESTS,
    ORDER_COMMANDS,
    ORDER_OUTCOMES,
    PROMOTION_COMMANDS,
    RESERVATION_RELEASES,
)
from streams.ledger.commands import (
    LineCancelled,
    LineDecided,
    LineReserved,
    decode_order_command,
    decode_promotion_command,
)
from streams.ledger.effects import Effects, Send
from streams.ledger.fluent_requests import AnyRequest, VerifyPage, decode_request


@dataclass(frozen=True, slots=True)
class Told:
    """One step without its place. `gave_back` units became free by it (negative: were taken)."""

    kind: str
    text: str
    order_ref: str | None = None
    units: int | None = None
    reason: str = ""
    gave_back: int = 0


def told_of(promotion: str, sku: str, effects: Effects, asked: MutableMapping[str, int]) -> Iterator[Told]:
    """What these effects say about a reservation. `asked` remembers the newest request of each SKU."""
    decided = sum(effects.reasons.values()) > 0
    answered: set[str | None] = set()
    for send in effects.sends:
        if send.topic == ORDER_OUTCOMES:
            yield from _once(_outcome(send, promotion, sku), answered, decided)
        elif send.topic == ORDER_COMMANDS:
            yield from _once(_line(send, promotion, sku), answered, decided)
        elif send.topic == PROMOTION_COMMANDS:
            yield from _reserved(send, promotion, sku)
        elif send.topic == FLUENT_REQUESTS:
            yield from _request(send, promotion, sku, asked)
        elif send.topic == RESERVATION_RELEASES:
            yield from _release(send, promotion, sku)
    for notice in effects.notices:
        if notice.fields.get("promotion") == promotion and notice.fields.get("sku") == sku:
            facts = ", ".join(
                f"{name} {value}" for name, value in notice.fields.items() if name not in HEADING
            )
            yield Told("notice", f"{notice.level}: {notice.event}" + (f", {facts}" if facts else ""))


HEADING = ("promotion", "sku")


def _once(told: Iterator[Told], answered: set[str | None], decided: bool) -> Iterator[Told]:
    """A decision is told as one once; where nothing was decided it was told before, and this is a repeat."""
    for each in told:
        if each.kind == "decision" and (not decided or each.order_ref in answered):
            yield _repeated(each)
        else:
            yield each
        answered.add(each.order_ref)


def _repeated(told: Told) -> Told:
    return replace(told, kind="repeat", text=f"{told.text} (the same answer once more)", gave_back=0)


def _outcome(send: Send, promotion: str, sku: str) -> Iterator[Told]:
    outcome = _decode_outcome(send.value or b"")
    if outcome.promotion_id != promotion:
        return
    for result in outcome.consume_results:
        if result.sku == sku:
            yield _decision(outcome.order_ref, result.quantity, result.reason)


def _line(send: Send, promotion: str, sku: str) -> Iterator[Told]:
    line = decode_order_command(send.value or b"")
    if not isinstance(line, LineDecided | LineCancelled) or (line.promotion_id, line.sku) != (promotion, sku):
        return
    if isinstance(line, LineDecided):
        told = _decision(line.order_ref, line.quantity - line.cancelled, line.reason)
        yield _repeated(told) if line.again else told
    else:
        text = f"order {line.order_ref} gives back {words.units(line.quantity)}"
        yield Told("cancel", text, line.order_ref, line.quantity, gave_back=line.quantity)


def _decision(order_ref: str, quantity: int, reason: str) -> Told:
    text = words.decision(order_ref, quantity, reason)
    return Told("decision", text, order_ref, quantity, reason, 0 if reason else -quantity)


def _reserved(send: Send, promotion: str, sku: str) -> Iterator[Told]:
    line = decode_promotion_command(send.value or b"")
    if not isinstance(line, LineReserved) or (line.promotion_id, line.sku) != (promotion, sku):
        return
    if line.reason:
        text = f"nothing is set aside. {words.refusal(line.reason)} {line.error}".rstrip()
        yield Told("refused", text, units=line.quantity, reason=line.reason)
    else:
        yield Told("reserved", f"set aside: {words.units(line.quantity)}", units=line.quantity)


def _request(send: Send, promotion: str, sku: str, asked: MutableMapping[str, int]) -> Iterator[Told]:
    request: AnyRequest = decode_request(send.value or b"")
    if isinstance(request, VerifyPage):
        for line in request.lines:
            if (line.promotion_id, line.sku) == (promotion, sku):
                yield Told("request", words.request(line))
    elif (request.promotion_id, request.sku) == (promotion, sku):
        again = ", again" if asked.get(sku) == request.number else ""
        asked[sku] = request.number
        yield Told("request", f"{words.request(request)} (request {request.number}{again})")


def _release(send: Send, promotion: str, sku: str) -> Iterator[Told]:
    release = _decode_release(send.value or b"")
    if (release.promotion_id, release.sku) == (promotion, sku):
        text = (
            f"back on sale: {words.units(release.released)} of {release.reserved:,}; "
            f"sold: {words.units(release.consumed)} ({release.cause})"
        )
        yield Told("release", text, units=release.released, reason=release.cause)


_decode_outcome = msgspec.json.Decoder(OrderOutcome).decode
_decode_release = msgspec.json.Decoder(ReservationRelease).decode
