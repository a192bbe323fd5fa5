"""Invariants about time and order: in time is in time, too late is too late, first come is first served."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from tests.audit.events import MINUTE_MS
from tests.audit.evidence import PROMOTION_START, Subject
from tests.audit.sale import Sale, asked, changes, time_ms

LAST_MS = 1 << 62
EXHAUSTED, INCOMPLETE_ORDER = "EXHAUSTED", "INCOMPLETE_ORDER"


def in_time_is_in_time(sale: Sale) -> Iterator[str]:
    """Nobody who ordered up to the deadline is told that it was over, or that nothing had been set aside.

    But for who was undecided for so long after it that nobody waits any more.
    """
    backlog_ms = sale.evidence.max_backlog_ms
    for name, (first_ms, last_ms), decided_ms, line in _decided(sale):
        subject, reason = (name[1], line["sku"]), line.get("reason")
        given_up_ms = -1 if backlog_ms is None else decided_ms - backlog_ms
        expires_ms = _expires_ms(sale, subject)
        if reason == "EXPIRED" and expires_ms is not None and last_ms <= expires_ms > given_up_ms:
            yield f"{name} was placed at {last_ms}, before {expires_ms}, and told {line}"
        ended_ms, _ = sale.ended_ms.get((name[1],), (last_ms, 0))
        if reason == "ENDED" and last_ms <= ended_ms > given_up_ms:
            yield f"{name} was placed at {last_ms}, before any end, and told {line}"
        started_ms, _ = sale.started_ms.get((name[1],), (last_ms + 1, 0))
        was_reserved = sale.reserved.get(subject) and started_ms <= first_ms
        if reason == "NO_RESERVATION" and was_reserved and first_ms > given_up_ms:
            yield f"{name} was placed after the start of its promotion and told {line}"


def too_late_is_too_late(sale: Sale) -> Iterator[str]:
    """Nobody who ordered after the promotion's expiry gets anything, nor after an end that is known."""
    for name, (first_ms, _), _, line in _decided(sale):
        expires_ms = _expires_ms(sale, (name[1], line["sku"]))
        if line["consumed"] and expires_ms is not None and first_ms > expires_ms:
            yield f"{name} was placed at {first_ms}, after {expires_ms}, and got {line}"
    yield from _served_after_a_known_end(sale)


def _served_after_a_known_end(sale: Sale) -> Iterator[str]:
    """Only of an order of one SKU it is known when the ledger has decided it."""
    known_ms = sale.evidence.ends_known_ms or {}
    for subject, lines in _by_subject(sale).items() if known_ms else ():
        _, last_end_ms = sale.ended_ms.get((subject[0],), (LAST_MS, LAST_MS))
        for line in lines:
            after_it = line.placed_ms > last_end_ms and line.decided_ms > known_ms.get(subject, LAST_MS)
            unsure = not line.alone or line.order in sale.forgettable | sale.cancelled_orders
            if after_it and not line.reason and not unsure:
                yield f"{subject}: {line} was placed after {last_end_ms}, and decided after that was known"


def a_promotion_lasts_as_long_as_it_was_to_last(sale: Sale) -> Iterator[str]:
    """`expiresAt` is what a start says, or the time of a start and its duration."""
    starts: dict[tuple[str, ...], set[int]] = defaultdict(set)
    for source, event in sale.events.items():
        if event is None or event.topic != PROMOTION_START or source in sale.letters:
            continue
        if "expiresAt" in event.body:
            starts[event.name].add(time_ms(event.body["expiresAt"]))
        elif "durationMinutes" in event.body:
            starts[event.name].add(event.at_ms + round(event.body["durationMinutes"] * MINUTE_MS))
    for (promotion, sku), line in sale.lines.items():
        allowed = starts.get((promotion,))
        if line["success"] and allowed and time_ms(line["expiresAt"]) not in allowed:
            yield f"{promotion} was to last until one of {sorted(allowed)}, but {sku} says {line}"


def nobody_is_turned_away_while_units_are_left(sale: Sale) -> Iterator[str]:
    """EXHAUSTED is said only if too few units are left when all who ordered by then got what they took."""
    for subject, lines in _by_subject(sale).items():
        took = sorted((line.placed_ms, line.quantity) for line in lines if line.may_have_taken)
        times = [placed_ms for placed_ms, _ in took]
        sums = [0, *accumulate(units for _, units in took)]
        for line in lines:
            if line.reason == EXHAUSTED and line.order not in sale.forgettable:
                most = sums[bisect_right(times, line.decided_ms)]
                if most + line.quantity <= sale.reserved.get(subject, 0):
                    yield f"{subject}: {line} was refused when at most {most} units were taken"


def first_come_first_served(sale: Sale) -> Iterator[str]:
    """Who comes after somebody was turned away gets as much only where units came back in between."""
    for subject, lines in _by_subject(sale).items():
        back = _given_back(sale, subject, lines)
        certain = [each for each in lines if each.order not in sale.forgettable]
        refused = sorted(
            (each for each in certain if each.reason == EXHAUSTED), key=lambda each: each.decided_ms
        )
        least: Line | None = None
        for line in sorted(certain, key=lambda each: each.placed_ms):
            while refused and refused[0].decided_ms < line.placed_ms:
                candidate = refused.pop(0)
                least = candidate if least is None or candidate.quantity < least.quantity else least
            if least is None or line.reason or line.quantity < least.quantity:
                continue
            units = sum(
                units
                for placed_ms, decided_ms, units in back
                if decided_ms >= least.placed_ms and placed_ms <= line.decided_ms
            )
            if units <= line.quantity - least.quantity:
                yield f"{subject}: {line} came after {least}, and only {units} units had come back"


@dataclass(frozen=True, slots=True)
class Line:
    """One SKU of an order: when it was placed first and decided, and what became of it ("" = it got it)."""

    order: tuple[str, str]
    quantity: int
    reason: str
    placed_ms: int
    decided_ms: int
    alone: bool
    """It is all that its order asks for."""

    @property
    def may_have_taken(self) -> bool:
        """Whether its units were taken at some moment; those of an incomplete order went back again."""
        return self.reason in ("", INCOMPLETE_ORDER)


def _by_subject(sale: Sale) -> dict[Subject, list[Line]]:
    """Of an order that may have been forgotten, every decision that it was ever told."""
    found: dict[Subject, list[Line]] = defaultdict(list)
    for name, history in sale.histories.items():
        for outcome in sale.told[name] if name in sale.forgettable else history:
            for each in asked(outcome):
                placed_ms, _ = sale.placed_ms.get(name, (0, 0))
                decided_ms = time_ms(outcome["decidedAt"])
                alone = len(outcome["consumeResults"]) == 1
                line = Line(name, each["quantity"], each.get("reason", ""), placed_ms, decided_ms, alone)
                found[name[1], each["sku"]].append(line)
    return found


def _given_back(sale: Sale, subject: Subject, lines: list[Line]) -> list[tuple[int, int, int]]:
    """Units that came back: from when to when that may have been, and how many."""
    back = [
        (each.placed_ms, _latest(sale, each.order, each.decided_ms), each.quantity)
        for each in lines
        if each.reason == INCOMPLETE_ORDER
    ]
    for name, history in sale.told.items():
        for outcome in history if name[1] == subject[0] else ():
            decided_ms = _latest(sale, name, time_ms(outcome["decidedAt"]))
            back += [
                (0, decided_ms, -units) for sku, units in changes(outcome) if sku == subject[1] and units < 0
            ]
    return back


def _latest(sale: Sale, order: tuple[str, str], decided_ms: int) -> int:
    """Up to when units that an order gave back at `decided_ms` may have come back.

    Settled units do when Fluent holds them again, which it may not for long. Those of an order that may have
    been forgotten may have come back at any time.
    """
    delay_ms = sale.evidence.settle_delay_ms
    placed_ms, _ = sale.placed_ms.get(order, (0, 0))
    settled = delay_ms is not None and decided_ms - placed_ms >= delay_ms
    return LAST_MS if settled or order in sale.forgettable else decided_ms


def _decided(sale: Sale) -> Iterator[tuple[tuple[str, str], tuple[int, int], int, dict[str, Any]]]:
    """Each line that was decided: of which order, when that was placed first and last, and when decided."""
    for name, history in sale.histories.items():
        if name in sale.placed_ms:
            for outcome in history:
                for line in asked(outcome):
                    yield name, sale.placed_ms[name], time_ms(outcome["decidedAt"]), line


def _expires_ms(sale: Sale, subject: Subject) -> int | None:
    line = sale.lines.get(subject)
    return time_ms(line["expiresAt"]) if line is not None and line["success"] else None
