"""What became of a promotion: `reservation-results`, `promotion-results`, `reservation-releases`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, RootModel

from schemas.fields import Count, Message, PageNumber, Ref, Sku, Units, UtcTime
from schemas.reasons import Reason


class Reserved(Message):
    """The units of a SKU are set aside until `expiresAt`."""

    promotion_id: Ref
    sku: Sku
    success: Literal[True]
    reservation_ref: str
    quantity: Units
    expires_at: UtcTime


class NotReserved(Message):
    """No unit of the SKU is set aside."""

    promotion_id: Ref
    sku: Sku
    success: Literal[False]
    error: str
    reason: Reason
    recommendation: str


class ReservationResult(RootModel[Reserved | NotReserved]):
    """Value of `reservation-results`: one per SKU of a promotion."""


class ResultSummary(Message):
    """How many SKUs of the promotion were reserved and how many were not, over all pages."""

    success: Count
    errors: Count


class PromotionResults(Message):
    """Value of `promotion-results`: published when every SKU is decided, 500 results a page."""

    promotion_id: Ref
    reservations: tuple[Reserved | NotReserved, ...]
    summary: ResultSummary
    page: PageNumber
    pages: PageNumber


class ReservationRelease(Message):
    """Value of `reservation-releases`: units of a SKU went back on sale."""

    promotion_id: Ref
    sku: Sku
    reservation_ref: str
    reserved: Count
    consumed: Annotated[Count, Field(description="Units sold, net of cancels.")]
    released: Count
    cause: Literal["EXPIRED", "ENDED", "CANCELLED"]
    released_at: UtcTime
