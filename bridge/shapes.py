"""The bodies of the bridge's responses, as its OpenAPI document describes them.

The template's fields come first; `duration` is in milliseconds.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.fields import Count, Message, Ref, UtcTime
from schemas.outcomes import OrderOutcome
from schemas.reasons import Reason
from schemas.reports import PromotionState, ReportHead
from schemas.results import NotReserved, Reserved, ResultSummary

Duration = Annotated[int, Field(ge=0, description="Milliseconds from request to answer.")]
StatusUrl = Annotated[str, Field(description="Path of the route that says where it stands.")]


class AcceptedPromotion(Message):
    """The broker has the event; what becomes of it stands at `statusUrl`."""

    status: Literal["accepted"]
    promotion_id: Ref
    status_url: StatusUrl


class AcceptedOrder(AcceptedPromotion):
    """The broker has the event; what becomes of it stands at `statusUrl`."""

    order_ref: Ref


class StartedSale(Message):
    """Which SKUs are set aside, when every one of them is decided."""

    status: Literal[200]
    promotion_id: Ref
    reservations: tuple[Reserved | NotReserved, ...]
    summary: ResultSummary
    duration: Duration


class DecidedOrder(OrderOutcome):
    """What the order took, or gave back."""

    status: Literal[200]
    duration: Duration


class EndedSale(Message):
    """The sale is over and its FINAL report is out."""

    status: Literal[200]
    promotion_id: Ref
    report: ReportHead
    duration: Duration


class PromotionFigures(Message):
    """How a promotion's SKUs stand together, in units except for `rejectedOrders`; `at` is when that was."""

    reserved: Count
    consumed: Count
    cancelled: Count
    released: Count
    rejected_units: Count
    rejected_orders: Count
    left: Count
    at: UtcTime


class PromotionStatus(Message):
    """Where a promotion stands: results once every SKU is decided, figures as they change, the newest report.

    A sale that has been over for an hour has no figures here beside those of its report.
    """

    promotion_id: Ref
    status: PromotionState
    reservations: tuple[Reserved | NotReserved, ...] | None = None
    summary: ResultSummary | None = None
    figures: PromotionFigures | None = None
    report: ReportHead | None = None


class ProblemDetails(Message):
    """RFC 9457, with the template's `error` and `recommendation`."""

    type: str
    title: str
    status: int
    detail: str
    error: str
    recommendation: str
    reason: Reason | None = None


class Health(Message):
    """What a probe gets."""

    status: Literal["ok", "ready"]
