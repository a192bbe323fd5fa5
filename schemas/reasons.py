"""Why something was refused: a closed set, in the documented order of precedence.

When several reasons hold at once, the one that stands first here is given. Code, docs/outcomes.md and
the tests use this order.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Reason(StrEnum):
    """The reasons of dead letters, reservation results, order outcomes and cancel results."""

    INVALID = "INVALID"
    UNPROCESSABLE = "UNPROCESSABLE"
    CONFLICT = "CONFLICT"
    CANCELLED = "CANCELLED"
    NO_ORDER = "NO_ORDER"
    NO_PROMOTION = "NO_PROMOTION"
    NO_RESERVATION = "NO_RESERVATION"
    ENDED = "ENDED"
    EXPIRED = "EXPIRED"
    FLUENT_UNAVAILABLE = "FLUENT_UNAVAILABLE"
    EXHAUSTED = "EXHAUSTED"
    INSUFFICIENT_INVENTORY = "INSUFFICIENT_INVENTORY"
    INCOMPLETE_ORDER = "INCOMPLETE_ORDER"


MEANINGS: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.INVALID: "The message is not JSON, or does not have the shape that its topic requires.",
        Reason.UNPROCESSABLE: "The record made workers fail three times; it was not decided.",
        Reason.CONFLICT: "The same identity was used before with different content; the first one stands.",
        Reason.CANCELLED: "A cancel had already taken these units out of the order.",
        Reason.NO_ORDER: "The cancel names an order that is not known for this promotion.",
        Reason.NO_PROMOTION: "The promotion to be ended is not known.",
        Reason.NO_RESERVATION: "No units of this SKU were set aside for this promotion.",
        Reason.ENDED: "The promotion was ended before this was placed, or before the units could be held.",
        Reason.EXPIRED: "Its time was over before this was placed, or before the units could be held.",
        Reason.FLUENT_UNAVAILABLE: "Fluent did not answer in time whether the units could be held.",
        Reason.EXHAUSTED: "Fewer units of the reservation are left than were asked for.",
        Reason.INSUFFICIENT_INVENTORY: "Fluent has fewer units of the SKU available than were asked for.",
        Reason.INCOMPLETE_ORDER: (
            "Another line of this all-or-nothing order was refused, so this one was given back."
        ),
    }
)
"""What each reason says about the world, in one sentence."""

RECOMMENDATIONS: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.INVALID: "Correct the message as the error says and send it again; nothing was done with it.",
        Reason.UNPROCESSABLE: (
            "Report the error with the record and the trace in the worker's log; "
            "replay the record once a mended version runs."
        ),
        Reason.CONFLICT: (
            "Use a new reference for new content; to repeat an event, send exactly what was sent before."
        ),
        Reason.CANCELLED: (
            "Nothing to do when the cancel was meant; otherwise place the order under a new reference."
        ),
        Reason.NO_ORDER: (
            "Check the order reference and the promotion id. "
            "Should the order still arrive, these units are not taken."
        ),
        Reason.NO_PROMOTION: (
            "Check the promotion id. "
            "Should the promotion still be started, it is answered ENDED and holds nothing."
        ),
        Reason.NO_RESERVATION: (
            "Check the SKU and the promotion id, and in reservation-results whether the SKU was reserved."
        ),
        Reason.ENDED: "Sell at the regular price, or start a new promotion under a new id.",
        Reason.EXPIRED: "Sell at the regular price, or start a new promotion with a longer duration.",
        Reason.FLUENT_UNAVAILABLE: (
            "Check that Fluent can be reached and that its credentials are valid (flashsale check), "
            "then try again under a new reference."
        ),
        Reason.EXHAUSTED: (
            "Offer a smaller quantity or the regular price; cancelled units may become free again."
        ),
        Reason.INSUFFICIENT_INVENTORY: (
            "Start a new promotion with fewer units of the SKU, or after its stock in Fluent was replenished."
        ),
        Reason.INCOMPLETE_ORDER: (
            "Place the order again under a new reference without the refused lines, "
            "or set orderPolicy to partial."
        ),
    }
)
"""For each reason what a person can do about it."""
