"""A SKU of a sale as the page shows it, and what about it needs a person."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from schemas.drift import MEANINGS, DriftKind
from schemas.reasons import Reason
from schemas.structs import NotReserved, ReportLine, Reserved, SaleFigures

FIGURES = ("reserved", "consumed", "cancelled", "released", "rejected_units", "rejected_orders")
"""What the figures of a sale and the lines of a report both have."""

SUMMED = (*FIGURES, "held", "drift")

PENDING, ACTIVE, CLOSED, REJECTED = "PENDING", "ACTIVE", "CLOSED", "REJECTED"
OVER = frozenset((CLOSED, REJECTED))
CLOSING = "CLOSING"

WANTED = frozenset((Reason.ENDED, Reason.EXPIRED))
"""Refusals that somebody wanted: the promotion was over before it began."""

Trouble = tuple[str, str]
"""What is wrong with a SKU, and what to do about it."""

NOTHING: Trouble = ("", "")

WAITS: Mapping[str, Trouble] = MappingProxyType(
    {
        "BACKLOG": (
            "Orders that were placed in time may still wait to be decided",
            "Look for backlog_waits in the workers' logs; start more workers.",
        ),
        "HOLD": (
            "Fluent has not answered about the hold",
            "Run `flashsale check`: it says whether Fluent can be reached.",
        ),
        "BOOKING": (
            "Units that were sold last stay held until they are booked",
            "Nothing: it ends by itself after settleDelaySeconds.",
        ),
        "RELEASE": (
            "Fluent has not confirmed the end of the hold",
            "Run `flashsale check`, then `flashsale reconcile PROMOTION`.",
        ),
    }
)
"""What the end of a SKU can wait for, and what to do about it."""


class Line(msgspec.Struct, rename="camel", omit_defaults=True, frozen=True):
    """A SKU. `at` is when its figures held; `checkedAt` when Fluent confirmed `held` units, in `hold`.

    `refusal` says why none could be set aside, and what to do; `problem` and `remedy` the same of whatever
    needs a person.
    """

    sku: str
    at: str = ""
    status: str = ""
    reserved: int = 0
    consumed: int = 0
    cancelled: int = 0
    released: int = 0
    rejected_units: int = 0
    rejected_orders: int = 0
    hold: str = ""
    held: int = 0
    checked_at: str = ""
    drift: int = 0
    waits_for: str = ""
    refusal: tuple[str, str] = NOTHING
    problem: str = ""
    remedy: str = ""

    @property
    def is_sold_out(self) -> bool:
        """Whether it was set aside and everything of it is sold."""
        return 0 < self.reserved <= self.consumed


def figured(line: Line, told: SaleFigures) -> Line:
    """The line after newer figures. Once it is closed, nothing is waited for."""
    if told.at < line.at:
        return line
    figures = {name: getattr(told, name) for name in FIGURES}
    changed = msgspec.structs.replace(line, **figures, status=told.status, at=told.at)
    if told.status in OVER and line.waits_for:
        return _judged(changed, "", *line.refusal)
    return changed


def reported(line: Line, told: ReportLine, at: str, *, is_over: bool) -> Line:
    """The line after a report of the moment `at`. `is_over`: nothing of the promotion is held any more."""
    changes: dict[str, Any] = {}
    if at >= line.at:
        changes = {name: getattr(told, name) for name in FIGURES} | {"at": at}
    if is_over:
        changes["status"] = CLOSED if told.reserved else REJECTED
    confirmed = msgspec.structs.replace(
        line,
        **changes,
        hold=told.fluent.status,
        held=told.fluent.held,
        checked_at=_text(told.fluent.checked_at),
        drift=told.drift,
    )
    waits_for = _text(told.waits_for)
    return _judged(confirmed, waits_for, *(_waiting(waits_for) or _drift(told) or line.refusal))


def refused(line: Line, told: NotReserved) -> Line:
    """The line of a SKU of which no unit could be set aside."""
    if told.reason in WANTED:
        return msgspec.structs.replace(line, status=REJECTED)
    refusal = f"Not set aside, {told.reason}: {told.error.rstrip('.')}", told.recommendation
    kept = msgspec.structs.replace(line, status=REJECTED, refusal=refusal)
    return kept if line.problem else _judged(kept, line.waits_for, *refusal)


def set_aside(line: Line, told: Reserved) -> Line:
    """The line of a SKU whose units are held, unless newer figures are known."""
    return line if line.at else msgspec.structs.replace(line, status=ACTIVE, reserved=told.quantity)


def _judged(line: Line, waits_for: str, problem: str, remedy: str) -> Line:
    return msgspec.structs.replace(line, waits_for=waits_for, problem=problem, remedy=remedy)


def _waiting(waits_for: str) -> Trouble | None:
    return WAITS.get(waits_for) if waits_for != "BOOKING" else None


def _drift(told: ReportLine) -> Trouble | None:
    if not told.drift:
        return None
    kind = _text(told.drift_kind)
    meaning = MEANINGS[DriftKind(kind)] if kind in DriftKind.__members__ else ""
    return f"Fluent differs by {told.drift:,} units", f"{meaning} {_text(told.drift_action)}".strip()


def _text(given: str | msgspec.UnsetType) -> str:
    return "" if isinstance(given, msgspec.UnsetType) else given
