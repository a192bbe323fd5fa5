"""The promises of a sale, each checked against the evidence. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rehearsal.demo.evidence import Evidence
from schemas.topics import DEAD_LETTERS, ORDER_CANCELLED, ORDER_OUTCOMES, ORDER_PLACED

UNDECIDED_AT_LEAST = 500
"""A worker that dies with less to do proves little."""

SHOWN = 3
"""Examples that a failed line names."""

LIVE = ("CREATED", "ACTIVE")
"""Statuses of a hold that takes units off sale in Fluent."""


@dataclass(frozen=True, slots=True)
class Line:
    """A promise, whether it holds, and the figures that say so."""

    promise: str
    holds: bool
    figures: str


def prove(evidence: Evidence) -> list[Line]:
    """Every promise about a sale that is over."""
    checks: tuple[Callable[[Evidence], Line], ...] = (
        every_order_decided,
        none_oversold,
        none_decided_twice,
        reports_add_up,
        nothing_held,
        fluent_agrees,
        released_in_time,
    )
    return [check(evidence) for check in checks]


def every_order_decided(evidence: Evidence) -> Line:
    """Each order has a decision or is a dead letter, and each message is answered exactly once."""
    answers = Counter(
        record.answers for topic in (ORDER_OUTCOMES, DEAD_LETTERS) for record in evidence.of(topic)
    )
    asked = {record.place for topic in (ORDER_PLACED, ORDER_CANCELLED) for record in evidence.of(topic)}
    dead = {record.answers for record in evidence.of(DEAD_LETTERS)}
    refused = [
        identity
        for identity, records in evidence.placed.items()
        if identity not in evidence.decided and all(record.place in dead for record in records)
    ]
    sent, decided = len(evidence.placed), len(evidence.decided)
    wrong = [str(place) for place in asked if answers[place] != 1]
    wrong += ["/".join(each) for each in evidence.placed.keys() - evidence.decided.keys() - set(refused)]
    figures = f"{sent:,} = {decided:,}" + (f" + {len(refused)} dead letters" if refused else "")
    figures += f"; {len(asked):,} messages with repeats and cancels, each answered once"
    return _line("orders sent = orders decided", wrong, figures)


def none_oversold(evidence: Evidence) -> Line:
    """Of no SKU more was sold than was set aside."""
    over = [
        f"{'/'.join(key)}: {units} of {evidence.reserved.get(key, 0)}"
        for key, units in evidence.sold.items()
        if units > evidence.reserved.get(key, 0)
    ]
    sold, reserved = sum(evidence.sold.values()), sum(evidence.reserved.values())
    return _line("0 oversold", over, f"{sold:,} of {reserved:,} reserved units sold")


def none_decided_twice(evidence: Evidence) -> Line:
    """All records of an order and revision are the same bytes, and only a cancel makes a new revision."""
    twice = ["/".join(identity) for (identity, _), values in evidence.versions.items() if len(values) > 1]
    twice += [
        f"{outcome['orderRef']}/{outcome['promotionId']}"
        for _, outcome in evidence.outcomes
        if outcome["revision"] > 1 and "cancelResults" not in outcome
    ]
    repeats = sum(len(records) - 1 for records in evidence.placed.values())
    return _line("0 decided twice", twice, f"{repeats} repeated orders answered with identical bytes")


def reports_add_up(evidence: Evidence) -> Line:
    """FINAL reports: reserved = consumed + released for each SKU, and consumed is what the outcomes say."""
    wrong = [
        promotion
        for promotion in evidence.promotions
        if promotion not in evidence.finals or evidence.finals[promotion].status not in ("CLOSED", "REJECTED")
    ]
    for promotion, final in evidence.finals.items():
        for line in final.lines:
            sums = line["reserved"] == line["consumed"] + line["released"]
            if not sums or line["consumed"] != evidence.sold[promotion, line["sku"]]:
                wrong.append(f"{promotion}/{line['sku']}")
    totals = [final.totals for final in evidence.finals.values()]
    reserved, consumed, released = (
        sum(each[name] for each in totals) for name in ("reserved", "consumed", "released")
    )
    return _line("reserved = consumed + released", wrong, f"{reserved:,} = {consumed:,} + {released:,}")


def nothing_held(evidence: Evidence) -> Line:
    """Fluent holds nothing for a sale that is over."""
    wrong = [
        f"{sku}: {truth['held']} units"
        for sku, truth in evidence.truth.items()
        if truth["held"] or any(hold["quantity"] and hold["status"] in LIVE for hold in truth["holds"])
    ]
    held = sum(truth["held"] for truth in evidence.truth.values())
    return _line("nothing left held", wrong, f"{held} units held in Fluent for {len(evidence.truth)} SKUs")


def fluent_agrees(evidence: Evidence) -> Line:
    """What Fluent offers of each SKU is its stock before the sale less what the outcomes say was sold."""
    sold: Counter[str] = Counter()
    for (_, sku), units in evidence.sold.items():
        sold[sku] += units
    wrong = [
        f"{sku}: {evidence.truth.get(sku, {}).get('available')} instead of {stock - sold[sku]}"
        for sku, stock in evidence.stock.items()
        if evidence.truth.get(sku, {}).get("available") != stock - sold[sku]
    ]
    available = sum(truth["available"] for truth in evidence.truth.values())
    stock, units = sum(evidence.stock.values()), sum(sold.values())
    return _line("Fluent's available = stock - sold", wrong, f"{available:,} = {stock:,} - {units:,}")


def released_in_time(evidence: Evidence) -> Line:
    """A promotion with a deadline was released by it, the others by their end; cancels may add to both."""
    expected = {
        name: "EXPIRED" if "expiresAt" in start else "ENDED" for name, start in evidence.promotions.items()
    }
    wrong = [
        f"{name}: {dict(evidence.causes.get(name, {}))}"
        for name, cause in expected.items()
        if any(other not in (cause, "CANCELLED") for other in evidence.causes.get(name, {}))
    ]
    by_cause = [
        f"{name} by {'expiry' if cause == 'EXPIRED' else 'its end'}" for name, cause in expected.items()
    ]
    return _line("released when due", wrong, ", ".join(by_cause))


def worker_died_busy(evidence: Evidence, killed_at_ms: int) -> Line:
    """The worker was killed while enough orders were undecided, and some were decided already."""
    undecided = evidence.undecided_at(killed_at_ms)
    wrong = [] if undecided >= UNDECIDED_AT_LEAST else [f"fewer than {UNDECIDED_AT_LEAST}"]
    return _line("a worker killed amid the rush", wrong, f"{undecided:,} orders undecided at that moment")


def _line(promise: str, wrong: Iterable[str], figures: str) -> Line:
    found = list(wrong)
    if not found:
        return Line(promise, True, figures)
    examples = "; ".join(found[:SHOWN])
    return Line(promise, False, f"{figures} · {len(found)} wrong, such as {examples}")
