"""Orders and the real ledger together: what orders say they hold is what the ledger counts as consumed."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.topics import FLUENT_REQUESTS, ORDER_COMMANDS, ORDER_OUTCOMES, SKU_COMMANDS
from streams.ledger import reservations
from streams.ledger.commands import (
    End,
    HoldConfirmed,
    Lines,
    PageVerified,
    ReleaseConfirmed,
    Reserve,
    SettleConfirmed,
    Tick,
    Verified,
    decode_order_command,
    decode_sku_command,
    reservation_key,
)
from streams.ledger.effects import Effects
from streams.ledger.fluent_requests import (
    AnyRequest,
    HoldRequest,
    ReleaseRequest,
    SettleRequest,
    VerifyPage,
    VerifyRequest,
    decode_request,
)
from streams.ledger.inputs import CancelOrder, PlaceOrder
from streams.ledger.reservations.state import RESERVATIONS
from streams.ledger.rows import MemoryStore, Rows
from streams.ledger.terms import Source, Terms
from tests.streams.ledger.orders import audit
from tests.streams.ledger.orders.support import HOUR_MS, PROMOTION, START_MS, cancels, outcomes
from tests.streams.ledger.orders.world import Log

STOCK = {"A": 4, "B": 3, "C": 1}

contents = st.dictionaries(st.sampled_from(sorted(STOCK)), st.integers(1, 3), min_size=1).map(
    lambda units: tuple(units.items())
)
refs = st.sampled_from(["ORD-1", "ORD-2", "ORD-3", "ORD-4"])
placing = st.tuples(st.just("order-placed"), refs, contents, st.booleans())
cancelling = st.tuples(st.just("order-cancelled"), refs, contents | st.just(()), st.just(False))


class Sale:
    """One partition of both stages; the gateway confirms each hold in full."""

    def __init__(self, terms: Terms | None = None, lasts_ms: int = HOUR_MS) -> None:
        self.terms = terms or Terms()
        self.away: set[str] = set()
        """SKUs whose partition nobody owns: what they are asked waits."""
        self.waiting: list[Any] = []
        self.log = Log(START_MS)
        self.ledger = Rows(MemoryStore())
        self.register = audit.Register()
        self.settled: list[SettleRequest] = []
        for sku, quantity in STOCK.items():
            self.tell(Reserve(PROMOTION, sku, quantity, START_MS + lasts_ms, self.terms))

    def tell(self, command: Any) -> None:
        """Let the ledger decide a command, and everything that follows from it."""
        effects = Effects()
        reservations.decide(self.ledger, command, self.log.now_ms, effects)
        for send in effects.sends:
            if send.topic == ORDER_COMMANDS:
                self.log.append(decode_order_command(send.value or b""))
            if send.own:
                self.tell(decode_sku_command(send.value or b""))
            if send.topic == ORDER_OUTCOMES:
                self.log.published.append(send)
            if send.topic == FLUENT_REQUESTS:
                self.answer(decode_request(send.value or b""))

    def answer(self, request: AnyRequest) -> None:
        """Fluent does what it is asked to."""
        if isinstance(request, VerifyPage):
            self.tell(PageVerified(request.round, request.page))
            return
        ids = PROMOTION, request.sku, request.number
        match request:
            case HoldRequest():
                self.tell(HoldConfirmed(*ids, request.quantity))
            case SettleRequest():
                self.settled.append(request)
                self.tell(SettleConfirmed(*ids, request.remaining))
            case ReleaseRequest():
                self.tell(ReleaseConfirmed(*ids))
            case VerifyRequest():
                self.tell(Verified(*ids, request.held))

    def run(self) -> None:
        """Until neither stage has anything to decide."""
        while self.log.decided < len(self.log.records):
            self.log.decide(1)
            self.log.begin_commit()
            for send in self.log.end_commit():
                if send.topic == SKU_COMMANDS:
                    command: Any = decode_sku_command(send.value or b"")
                    if command.sku in self.away:
                        self.waiting.append(command)
                    else:
                        self.tell(command)

    def come_back(self) -> None:
        """All partitions have owners again."""
        self.away, waiting, self.waiting = set(), self.waiting, []
        for command in waiting:
            self.tell(command)
        self.run()

    def event(self, topic: str, ref: str, lines: Lines, whole: bool) -> None:
        """An input event."""
        offset = len(self.register.events)
        source = Source(topic, 0, offset, b"key")
        terms = msgspec.structs.replace(self.terms, all_or_nothing=whole)
        command: PlaceOrder | CancelOrder
        if topic == "order-placed":
            command = PlaceOrder(source, terms, self.log.now_ms, ref, PROMOTION, lines, b"original")
        else:
            command = CancelOrder(source, terms, self.log.now_ms, ref, PROMOTION, "", lines, b"original")
        self.register.enter(command)
        self.log.append(command)

    def pass_time(self, passed_ms: int, *, watermark: bool, step_ms: int = 1_000) -> None:
        """Ticks for both stages each second; the watermark goes along or not. All is committed."""
        for _ in range(passed_ms // step_ms):
            self.log.now_ms += step_ms
            tick = Tick(self.log.now_ms if watermark else 0, decided_ms=self.log.now_ms)
            self.log.append(tick)
            self.tell(tick)
            self.run()

    def outcomes(self) -> int:
        """How many were published."""
        return len(outcomes(self.log.published))

    def consumed(self, sku: str) -> int:
        """What the ledger counts."""
        row = self.ledger.get(RESERVATIONS, reservation_key(PROMOTION, sku))
        assert row is not None
        return row.claimed


@settings(max_examples=150)
@given(st.lists(st.tuples(placing | cancelling, st.booleans()), min_size=1, max_size=20))
def test_orders_hold_exactly_what_the_ledger_counts(
    events: list[tuple[tuple[str, str, Lines, bool], bool]],
) -> None:
    sale = Sale()
    for event, at_once in events:
        sale.event(*event)
        if at_once:
            sale.run()
    sale.run()
    sale.log.now_ms += 10_000
    sale.log.append(Tick(sale.log.now_ms))
    sale.run()
    published = sale.log.published
    audit.each_event_is_answered_once(sale.register, published)
    held = dict.fromkeys(STOCK, 0)
    for records in audit.records_of_orders(sale.register, published).values():
        for sku, units in audit.units_left(records).items():
            held[sku] += units
    assert held == {sku: sale.consumed(sku) for sku in STOCK}
    assert all(held[sku] <= STOCK[sku] for sku in STOCK)


def test_a_line_taken_long_before_its_order_was_decided_is_settled_a_delay_after_the_outcome() -> None:
    """Seen in the simulation: the other line's start might have waited in a backlog for minutes; meanwhile
    the units were settled, and they were on sale from the outcome until the shop had booked them."""
    sale = Sale()
    sale.event("order-placed", "ORD-1", (("A", 1), ("UNHEARD-OF", 1)), False)
    sale.run()
    sale.pass_time(300_000, watermark=False)
    assert (sale.settled, sale.outcomes()) == ([], 0)
    sale.pass_time(1_000, watermark=True)
    assert sale.outcomes() == 1
    sale.pass_time(Terms().settle_delay_ms - 1_000, watermark=True)
    assert sale.settled == []
    sale.pass_time(Terms().settle_interval_ms + 1_000, watermark=True)
    assert [(request.sku, request.consumed) for request in sale.settled] == [("A", 1)]


SHORT = Terms(retention_ms=60_000, max_backlog_ms=1_000, hold_timeout_ms=1_000, book_sale=True)
MINUTE_MS = 60_000


def test_a_claim_is_remembered_as_long_as_an_order_that_was_decided_hours_later() -> None:
    """Seen by reading: nobody owned the partition of the second SKU for hours. The first one was closed, and
    its claim forgotten before the order had its outcome: of an accepted order the next cancel was told
    `cancelled: false` for that line, and the units stayed sold."""
    sale = Sale(SHORT, lasts_ms=10 * HOUR_MS)
    sale.away.add("B")
    sale.event("order-placed", "ORD-1", (("A", 2), ("B", 1)), False)
    sale.run()
    sale.tell(End(PROMOTION, "A", START_MS))
    sale.pass_time(4 * HOUR_MS, watermark=True, step_ms=MINUTE_MS)
    sale.come_back()
    assert outcomes(sale.log.published)[-1]["outcome"] == "ACCEPTED"
    sale.event("order-cancelled", "ORD-1", (), False)
    sale.run()
    assert cancels(outcomes(sale.log.published)[-1]) == [("A", 2, ""), ("B", 1, "")]
    assert sale.consumed("A") == sale.consumed("B") == 0


def test_a_cancel_that_takes_hours_leaves_the_memory_of_all_that_it_has_left() -> None:
    sale = Sale(msgspec.structs.replace(SHORT, retention_ms=10 * HOUR_MS), lasts_ms=MINUTE_MS)
    sale.event("order-placed", "ORD-1", (("A", 2), ("B", 2)), False)
    sale.run()
    sale.pass_time(2 * MINUTE_MS, watermark=True, step_ms=MINUTE_MS)
    sale.away.add("B")
    sale.event("order-cancelled", "ORD-1", (("A", 1), ("B", 1)), False)
    sale.run()
    sale.pass_time(4 * HOUR_MS, watermark=True, step_ms=MINUTE_MS)
    sale.come_back()
    sale.pass_time(9 * HOUR_MS, watermark=True, step_ms=MINUTE_MS)
    sale.event("order-cancelled", "ORD-1", (), False)
    sale.run()
    assert cancels(outcomes(sale.log.published)[-1]) == [("A", 1, ""), ("B", 1, "")]


def test_what_a_forgotten_order_has_asked_is_not_answered_to_another_under_its_ref() -> None:
    """Seen by reading: a cancel asked the ledger for the record of the line that it left, only so that the
    ledger would remember it. The answer came when the order was forgotten, and another one under its ref,
    with another SKU, waited for its own: the core ended with a KeyError."""
    sale = Sale(SHORT, lasts_ms=10 * HOUR_MS)
    sale.event("order-placed", "ORD-1", (("A", 2), ("B", 1)), False)
    sale.run()
    sale.away |= {"B", "C"}
    sale.event("order-cancelled", "ORD-1", (("A", 1),), False)
    sale.run()
    sale.pass_time(5 * MINUTE_MS, watermark=True, step_ms=MINUTE_MS)
    for _ in range(2):
        sale.event("order-placed", "ORD-1", (("C", 1),), False)
    sale.run()
    sale.come_back()
    first, second = outcomes(sale.log.published)[-2:]
    assert first == second
    assert first["consumeResults"] == [{"sku": "C", "quantity": 1, "consumed": True}]
