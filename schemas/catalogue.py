"""Every message in one table: its topic, key, headers, model and an example."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, JsonValue

from schemas import examples
from schemas.headers import DeadLetterHeaders, SourceHeaders
from schemas.orders import OrderCancelled, OrderPlaced
from schemas.outcomes import OrderOutcome
from schemas.promotions import PromotionEnd, PromotionStart
from schemas.reports import ReconciliationReport
from schemas.results import PromotionResults, ReservationRelease, ReservationResult


@dataclass(frozen=True, slots=True)
class MessageKind:
    """What travels in a topic. `action` is this software's: it receives inputs and sends outputs.

    `payload` is None where the value is somebody else's bytes.
    """

    topic: str
    action: Literal["receive", "send"]
    key: str
    summary: str
    payload: type[BaseModel] | None
    headers: type[BaseModel] | None
    examples: tuple[JsonValue, ...]


ANY_KEY = "any key or none; partitioning is free"

MESSAGES: tuple[MessageKind, ...] = (
    MessageKind(
        "promotion-start",
        "receive",
        ANY_KEY,
        "A sale begins: reserve these SKUs.",
        PromotionStart,
        None,
        examples.PROMOTION_STARTS,
    ),
    MessageKind(
        "promotion-end",
        "receive",
        ANY_KEY,
        "A sale ends early: release what is left.",
        PromotionEnd,
        None,
        examples.PROMOTION_ENDS,
    ),
    MessageKind(
        "order-placed",
        "receive",
        ANY_KEY,
        "An order takes units of a promotion.",
        OrderPlaced,
        None,
        examples.ORDERS_PLACED,
    ),
    MessageKind(
        "order-cancelled",
        "receive",
        ANY_KEY,
        "An order, or part of it, gives units back.",
        OrderCancelled,
        None,
        examples.ORDERS_CANCELLED,
    ),
    MessageKind(
        "reservation-results",
        "send",
        "promotion id",
        "One answer per SKU of a promotion.",
        ReservationResult,
        None,
        examples.RESERVATION_RESULTS,
    ),
    MessageKind(
        "promotion-results",
        "send",
        "promotion id",
        "The answers of a promotion together, when every SKU is decided.",
        PromotionResults,
        SourceHeaders,
        examples.PROMOTION_RESULTS,
    ),
    MessageKind(
        "order-outcomes",
        "send",
        "order ref",
        "The decision about an order, then one more record for each cancel.",
        OrderOutcome,
        SourceHeaders,
        examples.ORDER_OUTCOMES,
    ),
    MessageKind(
        "reservation-releases",
        "send",
        "SKU",
        "Units of a SKU went back on sale.",
        ReservationRelease,
        None,
        examples.RESERVATION_RELEASES,
    ),
    MessageKind(
        "reconciliation-reports",
        "send",
        "promotion id",
        "What adds up, per SKU, beside what Fluent holds.",
        ReconciliationReport,
        None,
        examples.RECONCILIATION_REPORTS,
    ),
    MessageKind(
        "dead-letters",
        "send",
        "the original key",
        "What could not be decided: the original bytes, unchanged, and why.",
        None,
        DeadLetterHeaders,
        (),
    ),
)

PAYLOADS: dict[str, type[BaseModel]] = {kind.topic: kind.payload for kind in MESSAGES if kind.payload}
"""Each topic's (logical) name and the model of its values."""
