"""What must hold of everything that the orders stage has published, from the records alone."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

from schemas.outcomes import OrderOutcome
from schemas.topics import DEAD_LETTERS, ORDER_OUTCOMES
from streams.ledger.effects import Send
from streams.ledger.inputs import CancelOrder, PlaceOrder

Key = tuple[str, str]
Identity = tuple[str, str, object]


@dataclass
class Event:
    """An input event and what must become of it: "new", "repeat" or "conflict"."""

    command: PlaceOrder | CancelOrder
    fate: str


class Register:
    """Tells by the log's order alone what must become of an event (as long as nothing is forgotten)."""

    def __init__(self) -> None:
        self._contents: dict[Identity, list[tuple[str, int]]] = {}
        self.events: dict[tuple[str, int], Event] = {}

    def enter(self, command: PlaceOrder | CancelOrder) -> None:
        """Note an event in the order of the log."""
        content = sorted(command.lines)
        which: object = "order"
        if isinstance(command, CancelOrder):
            which = command.cancellation_ref or tuple(content)
        identity = (command.order_ref, command.promotion_id, which)
        fate = "new"
        if identity in self._contents:
            fate = "repeat" if self._contents[identity] == content else "conflict"
        self._contents.setdefault(identity, content)
        self.events[_place(command)] = Event(command, fate)


def _place(command: PlaceOrder | CancelOrder) -> tuple[str, int]:
    return command.source.topic, command.source.offset


def answered(send: Send) -> tuple[str, int]:
    """(topic, offset) of the input that a record answers."""
    headers = dict(send.headers or [])
    return headers["source-topic"].decode(), int(headers["source-offset"])


def each_event_is_answered_once(register: Register, published: list[Send]) -> None:
    """One record per event: an outcome or a dead letter."""
    answers = Counter(answered(send) for send in published if send.topic in (ORDER_OUTCOMES, DEAD_LETTERS))
    assert answers == Counter(register.events.keys())


def conflicts_keep_their_bytes(register: Register, published: list[Send]) -> None:
    """Dead letters are the conflicts and nothing else, with key and value as they came."""
    for send in published:
        if send.topic in (ORDER_OUTCOMES, DEAD_LETTERS):
            event = register.events[answered(send)]
            assert (send.topic == DEAD_LETTERS) == (event.fate == "conflict")
            if send.topic == DEAD_LETTERS:
                assert (send.key, send.value) == (event.command.source.key, event.command.original)


def records_of_orders(register: Register, published: list[Send]) -> dict[Key, list[tuple[Event, bytes]]]:
    """The outcome records of each order in the order of publication; each is valid by its schema."""
    records: dict[Key, list[tuple[Event, bytes]]] = defaultdict(list)
    for send in published:
        if send.topic == ORDER_OUTCOMES:
            event = register.events[answered(send)]
            assert send.value is not None and send.key == event.command.order_ref.encode()
            outcome = OrderOutcome.model_validate_json(send.value)
            assert (outcome.order_ref, outcome.promotion_id) == (
                event.command.order_ref,
                event.command.promotion_id,
            )
            records[outcome.order_ref, outcome.promotion_id].append((event, send.value))
    return records


def repeats_are_identical_and_revisions_rise(records: list[tuple[Event, bytes]]) -> None:
    """A repeat has the bytes of the newest record, everything else the next revision."""
    newest, revision = b"", 0
    for event, value in records:
        if event.fate == "repeat":
            assert value == newest
        else:
            revision += 1
            assert json.loads(value)["revision"] == revision
        newest = value


def events_are_answered_in_log_order(records: list[tuple[Event, bytes]]) -> None:
    """Only the order itself may overtake: cancels that came first wait for it."""
    offsets = [
        event.command.source.offset
        for event, _ in records
        if not (event.fate == "new" and isinstance(event.command, PlaceOrder))
    ]
    assert offsets == sorted(offsets)


def units_left(records: list[tuple[Event, bytes]]) -> Counter[str]:
    """Units per SKU that the order holds by its records: taken, less what was given back."""
    left: Counter[str] = Counter()
    for event, value in records:
        outcome = json.loads(value)
        if event.fate != "new":
            continue
        if isinstance(event.command, PlaceOrder):
            left.update(
                {line["sku"]: line["quantity"] for line in outcome["consumeResults"] if line["consumed"]}
            )
        for line in outcome.get("cancelResults", []):
            left[line["sku"]] -= line["quantity"] if line["cancelled"] else 0
        assert min(left.values(), default=0) >= 0
        if "cancelResults" in outcome and "reason" not in outcome:
            assert outcome["outcome"] == ("PARTIAL" if any(left.values()) else "CANCELLED")
    return +left


def an_order_takes_what_earlier_cancels_left(records: list[tuple[Event, bytes]]) -> None:
    """Units of cancels answered NO_ORDER are refused as CANCELLED, all-or-nothing holds for the rest."""
    withheld: Counter[str] = Counter()
    everything = False
    for event, value in records:
        command = event.command
        if isinstance(command, PlaceOrder) and event.fate == "new":
            wanted = {sku: 0 if everything else max(0, n - withheld[sku]) for sku, n in command.lines}
            _check_lines(command, wanted, json.loads(value))
            return
        if event.fate == "new":
            withheld.update(dict(command.lines))
            everything = everything or not command.lines


def _check_lines(command: PlaceOrder, wanted: dict[str, int], outcome: dict[str, Any]) -> None:
    cut: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    fates = set()
    for line in outcome["consumeResults"]:
        if line.get("reason") == "CANCELLED":
            cut[line["sku"]] += line["quantity"]
        else:
            asked[line["sku"]] += line["quantity"]
            fates.add(line["consumed"])
    assert asked == +Counter(wanted)
    assert cut + asked == Counter(dict(command.lines))
    assert list(dict.fromkeys(line["sku"] for line in outcome["consumeResults"])) == [
        sku for sku, _ in command.lines
    ]
    if command.terms.all_or_nothing:
        assert len(fates) < 2
