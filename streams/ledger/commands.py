"""The commands in the three logs, and the answers that come back as commands.

Each log has a closed union of commands: imperative names are wishes (`Claim`), past tense ones are
answers (`LineDecided`). They are msgspec arrays with small integer tags: decode + encode 0.3 µs.
A command's own key in its topic: `promotion_id`, `sku`, or `order_ref`, which alone says where its order is.
"""

from __future__ import annotations

import msgspec

from schemas.drift import DriftKind
from streams.ledger.terms import Source, Terms

Lines = tuple[tuple[str, int], ...]
"""(sku, quantity) pairs, equal SKUs summed."""


def order_key(order_ref: str, promotion_id: str) -> bytes:
    """Key of an order's log: an order event is identified by (ref, promotion)."""
    return f"{order_ref}\0{promotion_id}".encode()


def reservation_key(promotion_id: str, sku: str) -> bytes:
    """Key of a reservation's row. NUL cannot occur in either part, so the key is unambiguous."""
    return f"{promotion_id}\0{sku}".encode()


class _Command(msgspec.Struct, array_like=True, gc=False):
    pass


class _AboutReservation(_Command):
    promotion_id: str
    sku: str


class _Answer(_AboutReservation):
    """Fluent's answer to the reservation's request `number`."""

    number: int


class Tick(_Command, tag=1):
    """Time has passed: act on the deadlines that have come.

    This record's timestamp is broker time. `watermark_ms` says that every record of the input topics which
    was placed up to then is decided, and that what follows from it stands before this Tick (0: nothing is
    known).

    `decided_ms` says how far its sender has committed this very log, by the records' times: what stands
    between that and this Tick had no effect outside yet when the Tick was sent.
    """

    watermark_ms: int = 0
    decided_ms: int = 0


class Continue(_Command, tag=2):
    """Go on with work that was too much for one command. `kind` and `subject` are the stage's own."""

    kind: str
    subject: bytes = b""


class Reserve(_AboutReservation, tag=10):
    """Set `quantity` units of a SKU aside for a promotion until `expires_at_ms`.

    With `ended_at_ms` the promotion's end is known already: it was decided before the start. With
    `ended_first` it was placed before the start, too: nothing is ever held.
    """

    quantity: int
    expires_at_ms: int
    terms: Terms
    attributes: bytes = b""
    ended_at_ms: int = 0
    trace: str = ""
    ended_first: bool = False


class Claim(_AboutReservation, tag=11):
    """An order's line of `quantity` units takes all that are not `withheld`, whole or not at all.

    Units are withheld by cancels that came before their order: it has never had them, and the claim's record
    counts them as cancelled. A line of which all are takes nothing; the ledger is asked for its record of it.

    With a `source` the line is the whole order: the ledger itself publishes the outcome, as the answer to
    that event. Without one it answers the orders stage with LineDecided. A claim of a promotion that nobody
    knows is kept for `retention_ms`.
    """

    quantity: int
    order_ref: str
    placed_at_ms: int
    grace_ms: int
    retention_ms: int
    source: Source | None = None
    withheld: int = 0


class Cancel(_AboutReservation, tag=12):
    """Give back up to `quantity` units of what the ledger still holds of an order's claim (0 = all of it).

    `operation` is the order's number for this request and comes back in `LineCancelled`.
    A compensation undoes a claim of an all-or-nothing order: its units count as rejected, not as cancelled.
    """

    quantity: int
    order_ref: str
    operation: int
    compensation: bool = False


class End(_AboutReservation, tag=13):
    """The promotion was ended at `ended_at_ms`: who orders later gets nothing, what is left is released."""

    ended_at_ms: int


class Recall(_AboutReservation, tag=14):
    """Tell the orders stage what was decided about a claim whose outcome the ledger published itself.

    It never decides anything: a claim that still waits is answered when it is decided.
    """

    order_ref: str


class Keep(_AboutReservation, tag=15):
    """An order is remembered from now on, and so is what it has of this SKU.

    With `unripe` it is undecided, or was until now: its units are as if just sold. Its outcome, and with it
    the shop's booking, comes later than this line's decision.
    """

    order_ref: str
    unripe: bool = True


class HoldConfirmed(_Answer, tag=20):
    """Fluent holds `quantity` units for request `number`."""

    quantity: int


class HoldFailed(_Answer, tag=21):
    """Fluent cannot hold the units; `reason` is a `schemas.reasons.Reason`, `error` says why in words."""

    reason: str
    error: str


class SettleConfirmed(_Answer, tag=22):
    """The hold in Fluent is now exactly `remaining` units."""

    remaining: int


class SettleFailed(_Answer, tag=23):
    """Fluent refuses the settle for good."""

    error: str


class ReleaseConfirmed(_Answer, tag=24):
    """A read-back shows that nothing of the hold is live any more."""


class ReleaseFailed(_Answer, tag=25):
    """Fluent refuses the release for good; `held` units are still held there."""

    held: int
    error: str


class Verified(_Answer, tag=26):
    """What Fluent really holds for a reservation, compared with what was asked for.

    `drift_units` 0 means agreement, and then there is no `drift_kind`. `corrected_units` were put right by
    this verify. `round` is that of the page it was asked in; 0 where it was asked about alone.
    """

    held: int
    drift_units: int = 0
    drift_kind: DriftKind | None = None
    corrected_units: int = 0
    round: int = 0


class PageVerified(_Command, tag=27):
    """A page of verifies is compared with Fluent, and Verified was sent for each line that differs."""

    round: int
    page: int


SkuCommand = (
    Tick | Continue | Reserve | Claim | Cancel | End | Recall | Keep
    | HoldConfirmed | HoldFailed | SettleConfirmed | SettleFailed
    | ReleaseConfirmed | ReleaseFailed | Verified | PageVerified
)  # fmt: skip


class LineDecided(_Command, tag=30):
    """The ledger's answer to a Claim: `reason` is "" when the units were taken.

    `cancelled` units of the line are not the order's: they were withheld, or given back before. `again` says
    that the claim was decided before, for an order that the orders stage has forgotten meanwhile.
    """

    promotion_id: str
    order_ref: str
    sku: str
    quantity: int
    reason: str
    cancelled: int = 0
    again: bool = False


class LineCancelled(_Command, tag=31):
    """The ledger's answer to a Cancel: `quantity` units were given back (0: nothing was held any more)."""

    promotion_id: str
    order_ref: str
    sku: str
    operation: int
    quantity: int


class LineRecalled(_Command, tag=32):
    """The ledger's answer to a Recall: a claim's record. `quantity` 0 says that nothing is known any more."""

    promotion_id: str
    order_ref: str
    sku: str
    quantity: int = 0
    reason: str = ""
    cancelled: int = 0
    decided_at_ms: int = 0


OrderCommand = Tick | Continue | LineDecided | LineCancelled | LineRecalled


class LineReserved(_AboutReservation, tag=40):
    """The ledger's answer to a Reserve: `reason` is "" when the units are held."""

    quantity: int
    reservation_ref: str
    expires_at_ms: int
    reason: str = ""
    error: str = ""


class Figures(msgspec.Struct, array_like=True, gc=False):
    """A reservation's absolute figures, in units but for the orders; a higher `version` replaces a lower one.

    `state` is a reservation's state name; `held` and `fluent_status` mirror Fluent as last confirmed at
    `checked_at_ms` (0: never). reserved = consumed + available while open, consumed + released at CLOSED.
    """

    version: int = 0
    state: str = "PENDING"
    reserved: int = 0
    consumed: int = 0
    cancelled: int = 0
    released: int = 0
    rejected_units: int = 0
    rejected_orders: int = 0
    held: int = 0
    fluent_status: str = ""
    checked_at_ms: int = 0
    drift_units: int = 0
    drift_kind: DriftKind | None = None
    of_age_at_ms: int = 0
    """While RELEASING: until then units stay held because they were sold too short a time ago (0: none)."""
    at_ms: int = 0
    """When they held; 0 in rows of a version that did not say."""


class LineFigures(_AboutReservation, tag=41):
    """The ledger tells how a reservation stands."""

    figures: Figures


PromotionCommand = Tick | Continue | LineReserved | LineFigures


encode = msgspec.msgpack.Encoder().encode
decode_sku_command = msgspec.msgpack.Decoder(SkuCommand).decode
decode_order_command = msgspec.msgpack.Decoder(OrderCommand).decode
decode_promotion_command = msgspec.msgpack.Decoder(PromotionCommand).decode
