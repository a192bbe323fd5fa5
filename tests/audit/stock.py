"""Invariants about units: none is sold twice, each hold ends, and reports and Fluent say the same."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from tests.audit.evidence import RELEASES
from tests.audit.sale import Sale, time_ms

CANCELLED = "CANCELLED"
A_MOMENT_MS = 5_000


def no_sku_is_oversold(sale: Sale) -> Iterator[str]:
    """Orders have at most what was set aside, and never less than nothing."""
    for subject, sums in sale.sums.items():
        reserved = sale.reserved.get(subject, 0)
        if not 0 <= sums.consumed <= reserved:
            yield f"{sums.consumed} units of {subject} are sold, {reserved} were set aside"


def each_hold_ends_exactly_once(sale: Sale) -> Iterator[str]:
    """One release per reservation, besides those that a later cancel causes."""
    ends: Counter[tuple[str, str]] = Counter()
    for release in sale.releases:
        ends[release["promotionId"], release["sku"]] += release["cause"] != CANCELLED
    for subject in ends.keys() | sale.reserved.keys():
        expected = int(sale.reserved.get(subject, 0) > 0)
        if ends[subject] != expected:
            yield f"the hold of {subject} ended {ends[subject]} times instead of {expected}"


def a_hold_ends_for_what_came_first(sale: Sale) -> Iterator[str]:
    """ENDED where an end was placed before the expiry, else EXPIRED; where some were before it, either.

    And either where the release came so late that nobody waited any more for an end that was undecided.
    """
    backlog_ms = sale.evidence.max_backlog_ms
    for release in sale.releases:
        line = sale.lines.get((release["promotionId"], release["sku"]))
        if release["cause"] == CANCELLED or line is None or not line["success"]:
            continue
        expires_ms = time_ms(line["expiresAt"])
        first_ms, last_ms = sale.ended_ms.get((release["promotionId"],), (expires_ms + 1, expires_ms + 1))
        allowed = {"ENDED"} if last_ms <= expires_ms else {"EXPIRED"} if first_ms > expires_ms else None
        if allowed is None or release["cause"] in allowed:
            continue
        if backlog_ms is None or time_ms(release["releasedAt"]) < expires_ms + backlog_ms:
            yield f"{release} of a promotion that ended at {first_ms} and was to expire at {expires_ms}"


def the_last_release_is_of_all_that_was_not_sold(sale: Sale) -> Iterator[str]:
    """A later cancel makes another release, so that the one with the most units says what was left."""
    most: Counter[tuple[str, str]] = Counter()
    for release in sale.releases:
        subject = (release["promotionId"], release["sku"])
        most[subject] = max(most[subject], release["released"])
    for subject, units in most.items():
        left = sale.reserved.get(subject, 0) - sale.sums[subject].consumed
        if units != left:
            yield f"{left} units of {subject} were not sold, and {units} are released"


def reserved_is_consumed_plus_released(sale: Sale) -> Iterator[str]:
    """In each release, and in each line of a FINAL report."""
    lines = [((each["promotionId"], each["sku"]), each) for each in sale.releases]
    for promotion, revisions in sale.finals.items():
        for pages in revisions.values():
            lines += [((promotion, line["sku"]), line) for page in pages for line in page["lines"]]
    for subject, line in lines:
        if not line["reserved"] == line["consumed"] + line["released"] == sale.reserved.get(subject):
            yield f"{subject}: {sale.reserved.get(subject)} were set aside, but {line}"


def the_final_report_says_what_the_outcomes_say(sale: Sale) -> Iterator[str]:
    """Its revisions have no gap; the newest has every SKU, with the sums of all outcomes and no drift."""
    for promotion in {promotion for promotion, _ in sale.reserved} | sale.finals.keys():
        revisions = sale.finals.get(promotion, {})
        if not revisions or sorted(revisions) != [*range(1, len(revisions) + 1)]:
            yield f"{promotion} has FINAL reports with the revisions {sorted(revisions)}"
            continue
        pages = revisions[max(revisions)]
        if len(pages) != pages[0].get("pages", 1):
            yield f"of the FINAL report of {promotion} there are {len(pages)} pages"
        told = {line["sku"]: line for page in pages for line in page["lines"]}
        for column, total in pages[0].get("totals", {}).items():
            if total != sum(line[column] for line in told.values()):
                yield f"the FINAL report of {promotion} has {total} as the sum of {column}"
        if told.keys() != {sku for of, sku in sale.reserved if of == promotion}:
            yield f"the FINAL report of {promotion} has the SKUs {sorted(told)}"
        for sku, line in told.items():
            yield from _line(sale, (promotion, sku), line)


def _line(sale: Sale, subject: tuple[str, str], line: dict[str, Any]) -> Iterator[str]:
    sums = sale.sums[subject]
    if (line["consumed"], line["cancelled"]) != (sums.consumed, sums.cancelled):
        yield f"{subject}: the outcomes make {sums}, the report says {line}"
    refused = (line["rejectedUnits"], line["rejectedOrders"])
    if not sale.forgettable and refused != (sums.refused_units, sums.refused_lines):
        yield f"{subject}: the outcomes refuse {sums}, the report says {line}"
    if line["drift"] or line["fluent"]["held"]:
        yield f"{subject} is not at rest in Fluent: {line}"


def fluent_sells_what_was_not_sold(sale: Sale) -> Iterator[str]:
    """Nothing is held any more; on sale is what there was before the sale without what was sold."""
    sold: Counter[str] = Counter()
    for (_, sku), sums in sale.sums.items():
        sold[sku] += sums.consumed
    for sku, now in (sale.evidence.truth or {}).items():
        if now["held"]:
            yield f"Fluent still holds {now['held']} units of {sku}"
        before = (sale.evidence.stock or {})[sku]
        if now["available"] != before - sold[sku]:
            yield f"{sku}: {before} units before the sale, {sold[sku]} sold, {now['available']} on sale now"


def a_sold_unit_is_never_on_sale_again(sale: Sale) -> Iterator[str]:
    """After no change in Fluent is more on sale than what was not sold by then.

    Orders that somebody wanted to cancel are left out: the cancel may be under way. So are those of several
    SKUs that were decided later than the settle delay: where their worker was away, nobody renewed it.
    """
    sold: Counter[str] = Counter()
    told = _sales_in_time(sale)
    for entry in sorted(sale.evidence.journal or (), key=lambda entry: int(entry["atMs"])):
        while told and told[-1][0] < entry["atMs"]:
            _, sku, units = told.pop()
            sold[sku] += units
        sku = entry["sku"]
        if entry["available"] > entry["onHand"] - sold[sku]:
            yield f"{sold[sku]} units of {sku} were sold when {entry} put some of them on sale again"


def what_is_said_to_be_released_is_let_go(sale: Sale) -> Iterator[str]:
    """When a release is told, or a moment before, Fluent holds no more of the SKU than what was sold.

    Units that an order has given back, or could not keep, may be held until the next settle.
    """
    held: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for entry in sorted(sale.evidence.journal or (), key=lambda entry: int(entry["atMs"])):
        held[entry["sku"]].append((int(entry["atMs"]), int(entry["held"])))
    for record in sale.records(RELEASES):
        release = json.loads(record.value)
        if release["cause"] == CANCELLED or len(_promotions_of(sale, release["sku"])) > 1:
            continue
        sums = sale.sums[release["promotionId"], release["sku"]]
        known = [units for at_ms, units in held[release["sku"]] if at_ms <= record.at_ms]
        lately = [units for at_ms, units in held[release["sku"]]
                  if record.at_ms - A_MOMENT_MS <= at_ms <= record.at_ms]  # fmt: skip
        least = min([*known[-1:], *lately], default=0)
        if least > release["consumed"] + sums.cancelled + sums.refused_units:
            yield f"{release} was told while Fluent held {least} units"


def _promotions_of(sale: Sale, sku: str) -> set[str]:
    return {promotion for promotion, of in sale.reserved if of == sku}


def _sales_in_time(sale: Sale) -> list[tuple[int, str, int]]:
    """When which units were told to be sold, the latest first; each order once."""
    first: dict[tuple[str, str], tuple[int, Any]] = {}
    for _, record, outcome in sale.outcomes:
        name = (outcome["orderRef"], outcome["promotionId"])
        if outcome["revision"] == 1 and record.at_ms < first.get(name, (record.at_ms + 1, None))[0]:
            first[name] = (record.at_ms, outcome)
    return sorted(
        (
            (at_ms, line["sku"], line["quantity"])
            for name, (at_ms, outcome) in first.items()
            if name not in sale.cancelled_orders
            for line in outcome["consumeResults"]
            if line["consumed"] and not _may_be_settled(sale, name, at_ms, outcome)
        ),
        reverse=True,
    )


def _may_be_settled(sale: Sale, name: tuple[str, str], at_ms: int, outcome: Any) -> bool:
    """Whether what an order took first may have been settled before its outcome was told `at_ms`."""
    delay_ms = sale.evidence.settle_delay_ms
    if delay_ms is None or len(outcome["consumeResults"]) == 1:
        return False
    return at_ms - sale.placed_ms[name][0] > delay_ms
