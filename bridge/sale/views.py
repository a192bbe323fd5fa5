"""What viewers are sent: a sale, or the list of sales, as server-sent events."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from bridge.sale.lines import PENDING, SUMMED, WAITS, Line
from bridge.sale.rates import Bucket, Rates
from bridge.sale.sale import Sale, lines_of
from schemas.reasons import Reason

SNAPSHOT, CHANGE, BEAT = "snapshot", "change", "beat"
"""Everything; what changed since the event before; nothing changed, and the bridge is still here."""

LATE = (
    "Its time is over, and nothing closes it. Run `flashsale status`: it says whether workers run and keep "
    "up. Where `autoReleaseEnabled` is false, send its promotion-end."
)


class Fluent(msgspec.Struct, rename="camel"):
    """Fluent's health as the sale shows it: `state` is ok, waiting or trouble, and `says` why."""

    state: str
    says: str
    held: int
    drift: int
    checked_at: str


class Speed(msgspec.Struct, rename="camel"):
    """Orders answered per second, and by reason over time. `whole`: `buckets` are all there are."""

    per_second: float
    totals: dict[str, int]
    width_seconds: int
    whole: bool
    buckets: list[Bucket]


class Sums(msgspec.Struct, rename="camel"):
    """Over all lines of a sale, in units except for `rejectedOrders`; `held` is what Fluent holds."""

    reserved: int
    consumed: int
    cancelled: int
    released: int
    rejected_units: int
    rejected_orders: int
    held: int
    drift: int


class Head(msgspec.Struct, rename="camel"):
    """A promotion without its lines. `reportedAt` and `reportKind` are its newest report's.

    `figuresAt` is the moment of the newest figures; `alarm` is what of the whole sale needs a person.
    """

    promotion_id: str
    status: str
    expires_at: str
    skus: int
    troubled: int
    sold_out: int
    left: int
    sums: Sums
    reported_at: str
    report_kind: str
    figures_at: str
    alarm: str


class SaleEvent(msgspec.Struct, rename="camel"):
    """A sale, or what changed of it. `now` is the bridge's clock in Unix milliseconds.

    `standsStill` says why figures do not move: the bridge cannot read them just now.
    """

    now: int
    stands_still: str
    sale: Head
    waiting: list[str]
    fluent: Fluent
    speed: Speed
    lines: list[Line]


class SalesEvent(msgspec.Struct, rename="camel"):
    """The sales, or those that changed; `gone` are no longer shown."""

    now: int
    stands_still: str
    sales: list[Head]
    gone: list[str]


def event(name: str, content: msgspec.Struct | None = None) -> bytes:
    """A server-sent event. JSON has no line ends, so one line of data is enough."""
    data = b"{}" if content is None else msgspec.json.encode(content)
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)


def head_of(sale: Sale) -> Head:
    """A promotion without its lines."""
    head = sale.head
    return Head(
        promotion_id=sale.id,
        status=sale.status,
        expires_at=sale.expires_at,
        skus=len(sale.lines),
        troubled=sale.troubled,
        sold_out=sale.sold_out,
        left=sale.left,
        sums=Sums(*(sale.sums[name] for name in SUMMED)),
        reported_at="" if head is None else head.generated_at,
        report_kind="" if head is None else head.kind,
        figures_at=sale.figures_at,
        alarm=LATE if sale.is_late else "",
    )


def sale_event(
    sale: Sale, rates: Rates, skus: Iterable[str] | None, now_ms: int, stands_still: str
) -> SaleEvent:
    """Everything about a sale, or of its lines those of `skus` and of its rates what is new."""
    if skus is None:
        whole, buckets, lines = True, rates.buckets(), list(sale.lines.values())
    else:
        whole, buckets = rates.changes()
        lines = lines_of(sale, skus)
    speed = Speed(round(rates.per_second, 1), dict(rates.totals), rates.width_s, whole, buckets)
    return SaleEvent(now_ms, stands_still, head_of(sale), _waiting(sale), _fluent(sale, rates), speed, lines)


def _waiting(sale: Sale) -> list[str]:
    """What is being waited for, in words."""
    pending = sale.statuses[PENDING]
    found = [f"{_skus(pending)}: Fluent has not answered about the hold yet"] if pending else []
    found += [
        f"{_skus(many)}: {WAITS[each][0]}" for each, many in sale.waits.items() if many and each in WAITS
    ]
    return found


def _fluent(sale: Sale, rates: Rates) -> Fluent:
    held, drift = sale.sums["held"], sale.sums["drift"]
    late, unanswered = sale.waits["HOLD"] + sale.waits["RELEASE"], rates.totals[Reason.FLUENT_UNAVAILABLE]
    if late:
        state, says = "trouble", f"Fluent has not answered in time about {_skus(late)}"
    elif drift:
        state, says = "trouble", f"Fluent differs by {drift:,} units"
    elif sale.statuses[PENDING]:
        state, says = "waiting", f"Fluent is asked to hold the units of {_skus(sale.statuses[PENDING])}"
    elif unanswered:
        state, says = "waiting", f"{unanswered:,} orders were turned away because Fluent did not answer"
    elif not sale.checked_at:
        state, says = "waiting", "No report has told of Fluent yet"
    else:
        state, says = "ok", "Fluent agrees with every figure"
    return Fluent(state, says, held, drift, sale.checked_at)


def _skus(many: int) -> str:
    return f"{many:,} {'SKU' if many == 1 else 'SKUs'}"
