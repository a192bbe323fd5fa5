"""Orders and the real ledger together: what orders say they hold is what the ledger counts as consumed."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.topics import FLUENT_REQUESTS, ORDER_COMMANDS, ORDER_OUTCOMES, SKU_COMMANDS
from streams.ledger import reservations
from streams.ledger.commands import (
    HoldConfirmed,
    Lines,
    PageVerified,
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
from tests.streams.ledger.orders.support import HOUR_MS, PROMOTION, START_MS
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

    def __init__(self) -> None:
        self.log = Log(START_MS)
        self.ledger = Rows(MemoryStore())
        self.register = audit.Register()
        self.settled: list[SettleRequest] = []
        for sku, quantity in STOCK.items():
            self.tell(Reserve(PROMOTION, sku, quantity, START_MS + HOUR_MS, Terms()))

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
            case VerifyRequest():
                self.tell(Verified(*ids, request.held))

    def run(self) -> None:
        """Until neither stage has anything to decide."""
        while self.log.decided < len(self.log.records):
            self.log.decide(1)
            self.log.begin_commit()
            for send in self.log.end_commit():
                if send.topic == SKU_COMMANDS:
                    self.tell(decode_sku_command(send.value or b""))

    def event(self, topic: str, ref: str, lines: Lines, whole: bool) -> None:
        """An input event."""
        offset = len(self.register.events)
        source = Source(topic, 0, offset, b"key")
        terms = Terms(all_or_nothing=whole)
        command: PlaceOrder | CancelOrder
        if topic == "order-placed":
            command = PlaceOrder(source, terms, self.log.now_ms, ref, PROMOTION, lines, b"original")
        else:
            command = CancelOrder(source, terms, self.log.now_ms, ref, PROMOTION, "", lines, b"original")
        self.register.enter(command)
        self.log.append(command)

    def pass_time(self, passed_ms: int, *, watermark: bool) -> None:
        """Ticks for both stages each second; the watermark goes along or not. All is committed."""
        for _ in range(passed_ms // 1_000):
            self.log.now_ms += 1_000
            tick = Tick(self.log.now_ms if watermark else 0, decided_ms=self.log.now_ms)
            self.log.append(tick)
            self.tell(tick)
            self.run()

    def outcomes(self) -> int:
        """How many were published."""
        return sum(send.topic == ORDER_OUTCOMES for send in self.log.published)

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
