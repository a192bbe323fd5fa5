"""Plain words for what stands in the ledger's log and for what the ledger sends."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.reasons import MEANINGS, Reason
from schemas.times import iso_utc
from streams.ledger.commands import (
    Claim,
    End,
    HoldConfirmed,
    HoldFailed,
    ReleaseConfirmed,
    ReleaseFailed,
    Reserve,
    SettleConfirmed,
    SettleFailed,
    SkuCommand,
    Verified,
)
from streams.ledger.fluent_requests import FluentRequest, HoldRequest, ReleaseRequest, SettleRequest


def units(count: int) -> str:
    """`1 unit`, `2 units`."""
    return f"{count:,} unit" if count == 1 else f"{count:,} units"


def refusal(reason: str) -> str:
    """A reason with what it means."""
    meaning = MEANINGS.get(Reason(reason)) if reason in Reason.__members__ else None
    return reason if meaning is None else f"{reason}: {meaning}"


def decision(order_ref: str, quantity: int, reason: str) -> str:
    """What became of an order's line."""
    if reason:
        return f"order {order_ref} asks for {units(quantity)} and gets none. {refusal(reason)}"
    return f"order {order_ref} takes {units(quantity)}"


def command(about: SkuCommand) -> str | None:
    """What a command says, None for one that says nothing by itself."""
    match about:
        case Reserve():
            return f"to be set aside: {units(about.quantity)}, until {iso_utc(about.expires_at_ms)}"
        case Claim():
            return f"order {about.order_ref} asks for {units(about.quantity - about.withheld)}"
        case End():
            return "the promotion is ended"
        case HoldConfirmed():
            return f"Fluent holds {units(about.quantity)}"
        case HoldFailed():
            return f"Fluent does not hold the units. {about.reason}: {about.error}"
        case SettleConfirmed():
            return f"Fluent still holds {units(about.remaining)}, what was sold is taken off"
        case SettleFailed():
            return f"Fluent refuses to take off what was sold: {about.error}"
        case ReleaseConfirmed():
            return "Fluent holds nothing any more"
        case ReleaseFailed():
            return f"Fluent refuses to end the hold of {units(about.held)}: {about.error}"
        case Verified():
            return _verified(about)
    return None


def request(asked: FluentRequest) -> str:
    """What is asked of Fluent."""
    match asked:
        case HoldRequest():
            return f"Fluent is asked to hold {units(asked.quantity)}"
        case SettleRequest():
            return f"Fluent is asked to hold {units(asked.remaining)} only; sold: {units(asked.consumed)}"
        case ReleaseRequest():
            return f"Fluent is asked to end the hold; sold: {units(asked.consumed)}"
    return f"Fluent is asked whether it holds {units(asked.held)}, as it should"


def lines(results: Sequence[tuple[str, int, str]]) -> str:
    """The lines of an order: (SKU, units, reason of the refusal or "")."""
    told = [
        f"{quantity:,} of {sku}" + (f" not: {reason}" if reason else "") for sku, quantity, reason in results
    ]
    return ", ".join(told) or "no lines"


def _verified(about: Verified) -> str:
    corrected = f"; put right: {units(about.corrected_units)}" if about.corrected_units else ""
    if about.drift_kind is None:
        return f"Fluent holds {units(about.held)}, as it should{corrected}"
    return f"Fluent holds {units(about.held)}, {about.drift_units:+,} by {about.drift_kind}{corrected}"
