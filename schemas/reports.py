"""What adds up: the records of `reconciliation-reports`, and those of `sale-figures` while a sale runs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.drift import DriftKind
from schemas.fields import Count, Message, PageNumber, Ref, Sku, UtcTime

PromotionState = Literal["PENDING", "ACTIVE", "CLOSING", "CLOSED", "REJECTED"]
"""How a promotion stands; docs/reports.md says what each means."""


Waits = Literal["BACKLOG", "HOLD", "BOOKING", "RELEASE"]
"""What the end of a SKU can wait for; docs/reports.md says what each means."""


class FluentFigures(Message):
    """The hold of a SKU as Fluent last confirmed it; `checkedAt` is absent before the first time."""

    ref: str
    status: str
    held: Annotated[int, Field(description="Units still held in Fluent.")]
    checked_at: UtcTime | None = None


class ReportLine(Message):
    """One SKU of the promotion, in units except for `rejectedOrders`."""

    sku: Sku
    reserved: Count
    consumed: Annotated[Count, Field(description="Units sold, net of cancels.")]
    cancelled: Annotated[Count, Field(description="Units that orders took and gave back.")]
    released: Annotated[Count, Field(description="Units that went back on sale.")]
    rejected_units: Count
    rejected_orders: Count
    fluent: FluentFigures
    drift: Annotated[
        Count, Field(description="Units by which Fluent differs from what should be held; 0 is agreement.")
    ]
    drift_kind: Annotated[DriftKind | None, Field(description="In which way; with drift only.")] = None
    drift_action: Annotated[str | None, Field(description="What to do about it; with drift only.")] = None
    waits_for: Annotated[
        Waits | None, Field(description="What its end waits for; only where closing takes too long.")
    ] = None


class ReportTotals(Message):
    """The sums of the lines' columns, over all pages."""

    reserved: Count
    consumed: Count
    cancelled: Count
    released: Count
    rejected_units: Count
    rejected_orders: Count
    drift: Annotated[Count, Field(description="The sum without signs: 0 is agreement on every SKU.")]


class ReportHead(Message):
    """A page of a promotion's report, without its lines."""

    promotion_id: Ref
    kind: Literal["INTERIM", "FINAL"]
    status: PromotionState
    totals: ReportTotals
    page: PageNumber
    pages: PageNumber
    revision: Annotated[int, Field(ge=1, description="Counts the reports of this kind; the highest holds.")]
    generated_at: UtcTime
    waiting_for: tuple[Sku, ...] | None = Field(
        None, description="SKUs that are not closed in time; on status CLOSING only."
    )


class ReconciliationReport(ReportHead):
    """Value of `reconciliation-reports`: one page of 500 lines of a promotion's report."""

    lines: tuple[ReportLine, ...]


class SaleFigures(Message):
    """Value of `sale-figures`: how a SKU stands, in units except for `rejectedOrders`. The newest holds.

    reserved - consumed is what can still be sold while the status is ACTIVE.
    """

    promotion_id: Ref
    sku: Sku
    status: Annotated[PromotionState, Field(description="As that of a promotion, of this SKU alone.")]
    reserved: Annotated[Count, Field(description="Units held in Fluent; 0 until it has confirmed the hold.")]
    consumed: Annotated[Count, Field(description="Units sold, net of cancels.")]
    cancelled: Annotated[Count, Field(description="Units that orders took and gave back.")]
    released: Annotated[Count, Field(description="Units that went back on sale; 0 before CLOSED.")]
    rejected_units: Count
    rejected_orders: Count
    expires_at: Annotated[UtcTime, Field(description="The expiry; a promotion-end may come sooner.")]
    at: Annotated[UtcTime, Field(description="The moment that the figures show.")]
