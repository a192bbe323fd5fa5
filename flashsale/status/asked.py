"""What Fluent is asked again and again: the ledger repeats a request until it is answered.

The gateway gives a request up after a minute, and its offset moves on, so the group's position does not say
whether Fluent answers. The log of requests does.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from schemas.topics import FLUENT_REQUESTS
from schemas.unreadable import UNREADABLE
from streams.ledger.fluent_requests import FluentRequest, VerifyPage, decode_request
from streams.reader import reading
from streams.settings import Settings

LEAST_BACK_S = 300
LATE_S = 5
"""A request may be repeated so much later than `fluentAskAgainSeconds` says."""


@dataclass(slots=True)
class Asked:
    """The newest request of a reservation: when it was sent first and last (Unix ms)."""

    number: int
    first_ms: int
    last_ms: int


def asked_again(settings: Settings, now_ms: int) -> dict[tuple[str, str], int]:
    """By promotion and SKU: since when (Unix ms) Fluent is asked the same without an answer.

    It is looked for in the last minutes only: who waits for longer has waited for at least that long.
    """
    again_s = settings.config.fluent_ask_again_seconds
    newest: dict[tuple[str, str], Asked] = {}
    with reading(settings, FLUENT_REQUESTS) as reader:
        reader.skip_to(now_ms - round(1_000 * max(LEAST_BACK_S, 4 * again_s)))
        for message in reader.to_the_end():
            with suppress(*UNREADABLE):
                request = decode_request(message.value() or b"")
                if not isinstance(request, VerifyPage):  # of which only what differs is answered
                    _note(newest, request, message.timestamp()[1])
    still_ms = now_ms - round(1_000 * (2 * again_s + LATE_S))
    return {
        reservation: asked.first_ms
        for reservation, asked in newest.items()
        if asked.first_ms < asked.last_ms and asked.last_ms >= still_ms
    }


def _note(newest: dict[tuple[str, str], Asked], request: FluentRequest, at_ms: int) -> None:
    reservation = (request.promotion_id, request.sku)
    asked = newest.get(reservation)
    if asked is None or asked.number < request.number:
        newest[reservation] = Asked(request.number, at_ms, at_ms)
    elif asked.number == request.number:
        asked.last_ms = at_ms
