"""The output messages once more, as msgspec structs: they are written and read by the thousand a second.

A struct has the fields of the pydantic model of the same name, which is the contract and says what they mean;
tests/contract/test_structs.py makes sure that the two agree. A line that has two models (it was consumed or
it was not) is one struct here, whose fields are left out where they are empty.
"""

from __future__ import annotations

import msgspec

from schemas.drift import DriftKind


class ConsumeResult(msgspec.Struct, omit_defaults=True, gc=False):
    """`Consumed` or `NotConsumed`: what became of a line, or of the part of it that shares one answer."""

    sku: str
    quantity: int
    consumed: bool
    reason: str = ""
    recommendation: str = ""


class CancelResult(msgspec.Struct, omit_defaults=True, gc=False):
    """`Cancelled` or `NotCancelled`: what became of a line of a cancel."""

    sku: str
    quantity: int
    cancelled: bool
    reason: str = ""


class OrderOutcome(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    """Value of `order-outcomes`."""

    order_ref: str
    promotion_id: str
    outcome: str
    reason: str | msgspec.UnsetType = msgspec.UNSET
    consume_results: list[ConsumeResult]
    decided_at: str
    revision: int
    cancel_results: list[CancelResult] | msgspec.UnsetType = msgspec.UNSET
    cancellation_ref: str | msgspec.UnsetType = msgspec.UNSET


class Reserved(msgspec.Struct, rename="camel"):
    """Value of `reservation-results` for a SKU of which units are set aside."""

    promotion_id: str
    sku: str
    success: bool
    reservation_ref: str
    quantity: int
    expires_at: str


class NotReserved(msgspec.Struct, rename="camel"):
    """Value of `reservation-results` for a SKU of which no unit is set aside."""

    promotion_id: str
    sku: str
    success: bool
    error: str
    reason: str
    recommendation: str


class ResultSummary(msgspec.Struct):
    """How many SKUs were reserved and how many were not, over all pages."""

    success: int
    errors: int


class PromotionResults(msgspec.Struct, rename="camel"):
    """Value of `promotion-results`: one page, its results as the bytes that were published for each SKU."""

    promotion_id: str
    reservations: list[msgspec.Raw]
    summary: ResultSummary
    page: int
    pages: int


class ReservationRelease(msgspec.Struct, rename="camel"):
    """Value of `reservation-releases`."""

    promotion_id: str
    sku: str
    reservation_ref: str
    reserved: int
    consumed: int
    released: int
    cause: str
    released_at: str


class SaleFigures(msgspec.Struct, rename="camel", gc=False):
    """Value of `sale-figures`."""

    promotion_id: str
    sku: str
    status: str
    reserved: int
    consumed: int
    cancelled: int
    released: int
    rejected_units: int
    rejected_orders: int
    expires_at: str
    at: str


class FluentFigures(msgspec.Struct, rename="camel"):
    """The hold of a line as Fluent last confirmed it."""

    ref: str
    status: str
    held: int
    checked_at: str | msgspec.UnsetType = msgspec.UNSET


class ReportLine(msgspec.Struct, rename="camel"):
    """One SKU of a report."""

    sku: str
    reserved: int
    consumed: int
    cancelled: int
    released: int
    rejected_units: int
    rejected_orders: int
    fluent: FluentFigures
    drift: int
    drift_kind: DriftKind | msgspec.UnsetType = msgspec.UNSET
    drift_action: str | msgspec.UnsetType = msgspec.UNSET
    waits_for: str | msgspec.UnsetType = msgspec.UNSET


class ReportTotals(msgspec.Struct, rename="camel"):
    """The sums of the lines' columns, over all pages."""

    reserved: int
    consumed: int
    cancelled: int
    released: int
    rejected_units: int
    rejected_orders: int
    drift: int


class ReportHead(msgspec.Struct, rename="camel"):
    """A page of a report without its lines, for a reader that does not need them."""

    promotion_id: str
    kind: str
    status: str
    totals: ReportTotals
    page: int
    pages: int
    revision: int
    generated_at: str
    waiting_for: list[str] | msgspec.UnsetType = msgspec.UNSET

    @property
    def is_last_page(self) -> bool:
        """Whether the whole report is out with this page."""
        return self.page == self.pages


class ReconciliationReport(ReportHead, kw_only=True):
    """Value of `reconciliation-reports`: one page."""

    lines: list[ReportLine]
