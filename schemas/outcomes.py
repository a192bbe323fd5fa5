"""What became of an order: the records of `order-outcomes`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.fields import Message, Ref, Sku, Units, UtcTime
from schemas.reasons import Reason


class Consumed(Message):
    """Units that the order took."""

    sku: Sku
    quantity: Units
    consumed: Literal[True]


class NotConsumed(Message):
    """Units that the order asked for and did not get, and why."""

    sku: Sku
    quantity: Units
    consumed: Literal[False]
    reason: Reason
    recommendation: str


class Cancelled(Message):
    """Units that the order gave back."""

    sku: Sku
    quantity: Units
    cancelled: Literal[True]


class NotCancelled(Message):
    """Units that the cancel asked for and that were not the order's to give back."""

    sku: Sku
    quantity: Units
    cancelled: Literal[False]
    reason: Reason


class OrderOutcome(Message):
    """Value of `order-outcomes`: the decision about an order, then one more record for each cancel.

    Absent fields are left out, never null: `reason` stands on a cancel of an unknown order only,
    `cancelResults` after a cancel, `cancellationRef` where the cancel had one.
    """

    order_ref: Ref
    promotion_id: Ref
    outcome: Literal["ACCEPTED", "PARTIAL", "REJECTED", "CANCELLED"]
    reason: Reason | None = None
    consume_results: tuple[Consumed | NotConsumed, ...]
    decided_at: UtcTime
    revision: Annotated[
        int, Field(ge=1, description="1 for the order, one more for each cancel; the highest is the state.")
    ]
    cancel_results: tuple[Cancelled | NotCancelled, ...] | None = None
    cancellation_ref: Ref | None = None
