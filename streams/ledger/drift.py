"""What to do about each kind of drift: the difference between our figures and what Fluent really holds.

Drift is the number of units by which the two differ, never negative, so that the sum over SKUs hides nothing;
its kind says which way. `flashsale reconcile` shows it signed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

ACTIONS: Mapping[str, str] = MappingProxyType(
    {
        "MISSING_HOLD": (
            "Fluent holds less than is reserved: find out who ended the hold, "
            "and end the promotion if its stock is gone."
        ),
        "ORPHAN_HOLD": (
            "Fluent still holds units of a reservation that is closed: "
            "set the quantities under this ref to INACTIVE."
        ),
        "WRONG_QUANTITY": (
            "Correct the quantities under this ref in Fluent: `flashsale reconcile` shows by how much, "
            "and can do it."
        ),
        "LATE_ACTIVATION": (
            "A hold became active after its release: set the quantities under this ref to INACTIVE."
        ),
        "DUPLICATE": (
            "Fluent holds the same units twice under this ref: set the surplus quantities to INACTIVE."
        ),
        "FOREIGN_CHANGE": (
            "Somebody else changed the hold in Fluent: find out who, and keep them off these refs."
        ),
        "RELEASE_REFUSED": (
            "Fluent refused to end the hold: correct what its error in the log says, "
            "then set the quantities under this ref to INACTIVE."
        ),
        "SETTLE_REFUSED": (
            "Fluent refused to shrink the hold by what was sold: correct what its error in the log says, "
            "then check the hold's quantity against this line."
        ),
    }
)
"""A sentence for each of `streams.ledger.commands.DRIFT_KINDS`."""

OTHER = "Compare the quantities under this ref in Fluent with this line, and correct them there."
"""For a drift whose kind is not known."""
