"""Drift: the units by which Fluent differs from what should be held there, by kind.

A report counts them without a sign, so that surplus on one SKU and lack on another do not cancel each other
out; `flashsale reconcile`, which lists every finding by itself, shows them signed.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class DriftKind(StrEnum):
    """In which way Fluent differs. Each kind is counted in units of its SKU."""

    MISSING_HOLD = "MISSING_HOLD"
    ORPHAN_HOLD = "ORPHAN_HOLD"
    WRONG_QUANTITY = "WRONG_QUANTITY"
    LATE_ACTIVATION = "LATE_ACTIVATION"
    DUPLICATE = "DUPLICATE"
    FOREIGN_CHANGE = "FOREIGN_CHANGE"
    RELEASE_REFUSED = "RELEASE_REFUSED"
    SETTLE_REFUSED = "SETTLE_REFUSED"


MEANINGS: Mapping[DriftKind, str] = MappingProxyType(
    {
        DriftKind.MISSING_HOLD: "An open reservation has no hold in Fluent.",
        DriftKind.ORPHAN_HOLD: (
            "Units are held for a reservation that is closed: under its ref and never ended, "
            "or under another ref with the promotion's id."
        ),
        DriftKind.WRONG_QUANTITY: (
            "The hold, or what SALE bookings have taken, is not the quantity that was asked for."
        ),
        DriftKind.LATE_ACTIVATION: "A hold that had ended is live again: a write came after the release.",
        DriftKind.DUPLICATE: (
            "More is held for an open reservation than it has: more quantities under its ref than it needs, "
            "or others with the promotion's id under another ref."
        ),
        DriftKind.FOREIGN_CHANGE: (
            "Somebody else ended a quantity of the hold, made it larger than planned, or took its "
            "promotion's id away."
        ),
        DriftKind.RELEASE_REFUSED: "Fluent refused for good to end the hold.",
        DriftKind.SETTLE_REFUSED: "Fluent refused for good to shrink the hold by what was sold.",
    }
)
"""What each kind says about Fluent, in one sentence."""

REMEDIES: Mapping[DriftKind, str] = MappingProxyType(
    {
        DriftKind.MISSING_HOLD: (
            "Find out what became of the hold. `flashsale reconcile --repair --yes` makes a new one while "
            "the units are free; otherwise end the promotion."
        ),
        DriftKind.ORPHAN_HOLD: (
            "Set these quantities to INACTIVE unless somebody needs them; "
            "`flashsale reconcile --repair --yes` can do it."
        ),
        DriftKind.WRONG_QUANTITY: (
            "Find out what else writes under this ref; `flashsale reconcile --repair --yes` can correct it."
        ),
        DriftKind.LATE_ACTIVATION: (
            "Set what is still live under this ref to INACTIVE, and look for a worker that froze or lost its "
            "connection around this time."
        ),
        DriftKind.DUPLICATE: (
            "Set the surplus quantities to INACTIVE unless somebody needs them; "
            "`flashsale reconcile --repair --yes` can do it."
        ),
        DriftKind.FOREIGN_CHANGE: (
            "Find out whose change it was, and keep them off these refs; "
            "`flashsale reconcile --repair --yes` can correct it."
        ),
        DriftKind.RELEASE_REFUSED: (
            "Correct what Fluent's error in the log says (rights, workflow), "
            "then set the quantities under this ref to INACTIVE."
        ),
        DriftKind.SETTLE_REFUSED: (
            "Correct what Fluent's error in the log says (rights, workflow), "
            "then compare the hold's quantity with this line."
        ),
    }
)
"""For each kind what a person can do about it."""
