"""What travels in the topics that others see: the model of its values and headers, and examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, JsonValue

from schemas import examples, topics
from schemas.headers import DeadLetterHeaders, SourceHeaders
from schemas.orders import OrderCancelled, OrderPlaced
from schemas.outcomes import OrderOutcome
from schemas.promotions import PromotionEnd, PromotionStart
from schemas.reports import ReconciliationReport, SaleFigures
from schemas.results import PromotionResults, ReservationRelease, ReservationResult

Examples = tuple[JsonValue, ...]


@dataclass(frozen=True, slots=True)
class MessageKind:
    """What travels in a topic. `payload` is None where the value is somebody else's bytes."""

    topic: str
    payload: type[BaseModel] | None
    headers: type[BaseModel] | None
    examples: Examples

    @property
    def action(self) -> Literal["receive", "send"]:
        """What this software does: it receives inputs and sends outputs."""
        return "receive" if topics.BY_NAME[self.topic].role is topics.Role.INPUT else "send"


MESSAGES: tuple[MessageKind, ...] = (
    MessageKind(topics.PROMOTION_START, PromotionStart, None, examples.PROMOTION_STARTS),
    MessageKind(topics.PROMOTION_END, PromotionEnd, None, examples.PROMOTION_ENDS),
    MessageKind(topics.ORDER_PLACED, OrderPlaced, None, examples.ORDERS_PLACED),
    MessageKind(topics.ORDER_CANCELLED, OrderCancelled, None, examples.ORDERS_CANCELLED),
    MessageKind(topics.RESERVATION_RESULTS, ReservationResult, None, examples.RESERVATION_RESULTS),
    MessageKind(topics.PROMOTION_RESULTS, PromotionResults, SourceHeaders, examples.PROMOTION_RESULTS),
    MessageKind(topics.ORDER_OUTCOMES, OrderOutcome, SourceHeaders, examples.ORDER_OUTCOMES),
    MessageKind(topics.RESERVATION_RELEASES, ReservationRelease, None, examples.RESERVATION_RELEASES),
    MessageKind(topics.RECONCILIATION_REPORTS, ReconciliationReport, None, examples.RECONCILIATION_REPORTS),
    MessageKind(topics.SALE_FIGURES, SaleFigures, None, examples.SALE_FIGURES),
    MessageKind(topics.DEAD_LETTERS, None, DeadLetterHeaders, ()),
)

PAYLOADS: dict[str, type[BaseModel]] = {kind.topic: kind.payload for kind in MESSAGES if kind.payload}
"""Each topic's (logical) name and the model of its values."""
