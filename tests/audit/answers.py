"""Invariants about answers: who gets one, that it is the same each time, and that it fits what was asked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from tests.audit.events import Event
from tests.audit.evidence import ORDER_CANCELLED, ORDER_PLACED, PROMOTION_END, PROMOTION_START, Source
from tests.audit.sale import Outcome, Sale, asked, changes, refused, time_ms

LETTERS = {
    ORDER_PLACED: ("CONFLICT",),
    ORDER_CANCELLED: ("CONFLICT",),
    PROMOTION_START: ("CONFLICT",),
    PROMOTION_END: ("NO_PROMOTION",),
}
"""Why an event that can be read may be a dead letter."""

MANY = 1 << 30


def every_input_is_decided_or_a_dead_letter(sale: Sale) -> Iterator[str]:
    """Each order and cancel has one outcome or dead letter, each start its results or a dead letter."""
    answers: Counter[Source] = Counter()
    for source, _, _ in sale.outcomes:
        answers[source] += 1
    for source, records in sale.letters.items():
        answers[source] += len(records)
    for source, _, result in sale.results:
        answers[source] += result.get("page", 1) == 1
    for source in answers.keys() - sale.sent.keys():
        yield f"an answer names {source}, where nothing was sent"
    for source, record in sale.sent.items():
        least, most = int(source[0] != PROMOTION_END), MANY if source in sale.evidence.read_again else 1
        if not least <= answers[source] <= most:
            yield f"{source} has {answers[source]} answers: {record.value[:200]!r}"


def an_answer_fits_its_event(sale: Sale) -> Iterator[str]:
    """It is about the same order, and has the lines that were asked for."""
    for source, record, outcome in sale.outcomes:
        event = sale.events.get(source)
        if event is None or event.name != (outcome["orderRef"], outcome["promotionId"]):
            yield f"{source} was {event}, the outcome is {record.value!r}"
        elif event.topic == ORDER_PLACED and event.content != _units(outcome["consumeResults"]):
            yield f"{source} asked for {event.content}, and the outcome has other lines: {record.value!r}"


def _units(lines: list[dict[str, Any]]) -> frozenset[tuple[str, int]]:
    units: Counter[str] = Counter()
    for line in lines:
        units[line["sku"]] += line["quantity"]
    return frozenset(units.items())


def a_dead_letter_is_the_original_with_a_true_reason(sale: Sale) -> Iterator[str]:
    """Its bytes and key are unchanged; what cannot be read is INVALID, and nothing else is."""
    for source, records in sale.letters.items():
        original, event = sale.sent.get(source), sale.events.get(source)
        allowed = ("INVALID",) if event is None else (*LETTERS[event.topic], *_too_late(event))
        for record in records:
            if original is None or (record.value, record.key) != (original.value, original.key):
                yield f"the dead letter of {source} is not what was sent: {record.value[:200]!r}"
            if record.headers["reason"] not in allowed:
                yield f"{source} is a dead letter, {record.headers['reason']}: {record.value[:200]!r}"


def _too_late(event: Event) -> tuple[str, ...]:
    """A start that expires before it was placed is INVALID, unless it repeats one that was taken."""
    until = event.body.get("expiresAt") if event.topic == PROMOTION_START else None
    return ("INVALID",) if until is not None and time_ms(until) <= event.at_ms else ()


def of_one_identity_one_content_stands(sale: Sale) -> Iterator[str]:
    """The others are conflicts, and what stands is never one. A start that came too late is neither."""
    standing: dict[Any, set[Any]] = defaultdict(set)
    conflicts: dict[Any, set[Any]] = defaultdict(set)
    for source, event in sale.events.items():
        if event is None or event.topic == PROMOTION_END or event.name in sale.forgettable:
            continue
        reasons = {letter.headers["reason"] for letter in sale.letters.get(source, ())}
        if "INVALID" not in reasons:
            (conflicts if reasons else standing)[event.identity].add(event.content)
    for identity in standing.keys() | conflicts.keys():
        stands, fell = standing[identity], conflicts[identity]
        if len(stands) != 1 or stands & fell:
            yield f"of {identity} stand {stands}, and refused are {fell}"


def a_repeat_gets_the_same_bytes(sale: Sale) -> Iterator[str]:
    """Each revision of an order, and each promotion's results, is told in one way."""
    for name, told in sale.revisions.items():
        for revision, values in told.items():
            if len(values) > 1 and name not in sale.forgettable:
                yield f"revision {revision} of {name} was told in {len(values)} ways: {sorted(values)}"
    results: dict[tuple[str, int], set[bytes]] = defaultdict(set)
    for _, record, result in sale.results:
        results[result["promotionId"], result.get("page", 1)].add(record.value)
    for page, values in results.items():
        if len(values) > 1:
            yield f"the results of {page} were told in {len(values)} ways: {sorted(values)}"


def an_order_is_decided_once(sale: Sale) -> Iterator[str]:
    """Each different event makes one revision, and no cancel gives back more than is left.

    An order that was forgotten meanwhile begins anew, but never takes its units a second time.
    """
    for name, history in sale.histories.items():
        expected = [*range(1, len(sale.identities[name]) + 1)]
        revisions = [outcome["revision"] for outcome in history]
        if revisions != expected and name not in sale.forgettable:
            yield f"{name} has the revisions {revisions}, not {expected}"
        if sum("cancelResults" not in outcome for outcome in history) > 1 and name not in sale.forgettable:
            yield f"{name} was decided twice: {history}"
    for name, outcomes in sale.told.items():
        has: Counter[str] = Counter()
        for outcome in outcomes:
            for sku, units in changes(outcome):
                if units > 0 and has[sku] not in (0, units):
                    yield f"{name} had {has[sku]} units of {sku} and took more: {outcomes}"
                has[sku] = units if units > 0 else has[sku] + units
            if min(has.values(), default=0) < 0:
                yield f"{name} gave back more than it had: {outcomes}"


def an_outcome_says_what_is_left(sale: Sale) -> Iterator[str]:
    """ACCEPTED is everything, PARTIAL a part, REJECTED nothing; a cancel that leaves nothing is CANCELLED.

    What is left of an order that may have been forgotten is not known, unless it has given everything back.
    """
    for name, outcomes in sale.told.items():
        has: Counter[str] = Counter()
        for outcome in outcomes:
            for sku, units in changes(outcome):
                has[sku] = units if units > 0 else has[sku] + units
            expected = {_whole(outcome)}
            if "cancelResults" in outcome and outcome.get("reason") != "NO_ORDER":
                expected = {"PARTIAL" if any(has.values()) else "CANCELLED"}
                if name in sale.forgettable:
                    expected.add("CANCELLED")
            if outcome["outcome"] not in expected:
                yield f"{name} is {outcome['outcome']}, not {expected}, with {has} left: {outcome}"


def a_cancel_gives_back_what_it_asks_for(sale: Sale) -> Iterator[str]:
    """Each of its lines whole where the order has as much, else nothing; without lines all that there is."""
    own: dict[Any, tuple[Event, Outcome]] = {}
    for source, _, outcome in sale.outcomes:
        event = sale.events.get(source)
        if event is not None and event.topic == ORDER_CANCELLED and event.name not in sale.forgettable:
            _, known = own.get(event.identity, (event, outcome))
            own[event.identity] = (event, min(known, outcome, key=lambda each: int(each["revision"])))
    for event, outcome in own.values():
        has: Counter[str] = Counter()
        for former in sale.histories[outcome["orderRef"], outcome["promotionId"]]:
            if former["revision"] < outcome["revision"]:
                has.update(dict(changes(former)))
        asked_for = event.content or frozenset(has.items())
        due = {(sku, units) for sku, units in asked_for if 0 < units <= has[sku]}
        told = [(line["sku"], line["quantity"]) for line in outcome.get("cancelResults", ())]
        given = {(sku, -units) for sku, units in changes(outcome) if units < 0}
        if given != due or (event.content and sorted(told) != sorted(event.content)):
            yield f"{event.name} had {dict(has)} and was asked for {sorted(asked_for)} back: {outcome}"


def _whole(outcome: dict[str, Any]) -> str:
    """What the lines of an order's own decision say together."""
    taken = [line["consumed"] for line in outcome["consumeResults"]]
    return "ACCEPTED" if taken and all(taken) else "PARTIAL" if any(taken) else "REJECTED"


def all_or_nothing_is(sale: Sale) -> Iterator[str]:
    """Such an order never keeps a part. Where workers differ, INCOMPLETE_ORDER tells that it is one."""
    policy = sale.evidence.all_or_nothing
    for _, record, outcome in sale.outcomes:
        wanted, without = asked(outcome), refused(outcome)
        told = any(line.get("reason") == "INCOMPLETE_ORDER" for line in without)
        if told and policy is False:
            yield f"INCOMPLETE_ORDER, and orders may be filled in part: {record.value!r}"
        if (told or policy) and len(without) not in (0, len(wanted)):
            yield f"a part of an all-or-nothing order was given: {record.value!r}"


def what_was_cancelled_first_is_not_taken(sale: Sale) -> Iterator[str]:
    """A cancel that was told NO_ORDER holds for the order that comes after it.

    Of an order that was decided before, and forgotten, what it has may still be known; then it has that.
    """
    for name, history in sale.histories.items():
        withheld: Counter[str] = Counter()
        everything = False
        told: Counter[str] = Counter()
        for outcome in history:
            if outcome.get("reason") == "NO_ORDER":
                everything = everything or not outcome["cancelResults"]
                withheld.update({line["sku"]: line["quantity"] for line in outcome["cancelResults"]})
            elif "cancelResults" not in outcome:
                asked_for = dict(_units(outcome["consumeResults"]))
                for sku, units in changes(outcome):
                    left = 0 if everything else max(0, asked_for[sku] - withheld[sku])
                    if units > max(left, told[sku]):
                        yield f"{name} got {units} units of {sku}, which had been cancelled: {history}"
                    told[sku] = max(told[sku], units)
