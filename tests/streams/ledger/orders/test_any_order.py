"""Whatever comes in whatever order, with crashes and late answers: each event is answered exactly once."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from streams.ledger.commands import Lines, Tick
from streams.ledger.inputs import CancelOrder, PlaceOrder
from streams.ledger.terms import Source, Terms
from tests.streams.ledger.orders import audit
from tests.streams.ledger.orders.support import HOUR_MS, START_MS
from tests.streams.ledger.orders.world import Ledger, Log, run_to_rest

STOCK = {"A": 4, "B": 3, "C": 1}
YEAR_MS = 365 * 24 * HOUR_MS

lines = st.dictionaries(st.sampled_from(sorted(STOCK)), st.integers(1, 3), min_size=1, max_size=3).map(
    lambda units: tuple(units.items())
)
orders = st.sampled_from(["ORD-1", "ORD-2"])
promotions = st.sampled_from(["FLASH-1", "FLASH-1", "FLASH-2"])
cancellation_refs = st.sampled_from(["", "", "RMA-1", "RMA-2"])


class Orders(RuleBasedStateMachine):
    """Events, answers, ticks, commits and crashes in any order."""

    retention_ms = YEAR_MS

    def __init__(self) -> None:
        super().__init__()
        self.log = Log(START_MS)
        self.ledger = Ledger(STOCK)
        self.register = audit.Register()
        self.inputs: list[PlaceOrder | CancelOrder] = []

    def _terms(self, all_or_nothing: bool) -> Terms:
        return Terms(claim_grace_ms=5_000, retention_ms=self.retention_ms, all_or_nothing=all_or_nothing)

    def _source(self, topic: str) -> Source:
        offset = len(self.inputs)
        return Source(topic, 0, offset, b"key %d" % offset)

    def _enter(self, event: PlaceOrder | CancelOrder) -> None:
        self.inputs.append(event)
        self.register.enter(event)
        self.log.append(event)

    @rule(ref=orders, promotion=promotions, content=lines, whole=st.booleans())
    def place(self, ref: str, promotion: str, content: Lines, whole: bool) -> None:
        source = self._source("order-placed")
        original = b"order %d" % source.offset
        self._enter(
            PlaceOrder(source, self._terms(whole), self.log.now_ms, ref, promotion, content, original)
        )

    @rule(ref=orders, promotion=promotions, content=lines | st.just(()), cancellation_ref=cancellation_refs)
    def cancel(self, ref: str, promotion: str, content: Lines, cancellation_ref: str) -> None:
        source = self._source("order-cancelled")
        original = b"cancel %d" % source.offset
        terms = self._terms(False)
        at_ms = self.log.now_ms
        self._enter(CancelOrder(source, terms, at_ms, ref, promotion, cancellation_ref, content, original))

    @precondition(lambda self: self.inputs)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        event = data.draw(st.sampled_from(self.inputs))
        if isinstance(event, PlaceOrder):
            shuffled = tuple(data.draw(st.permutations(event.lines)))
            self.place(event.order_ref, event.promotion_id, shuffled, event.terms.all_or_nothing)
        else:
            self.cancel(event.order_ref, event.promotion_id, event.lines, event.cancellation_ref)

    @rule(count=st.integers(1, 5))
    def decide(self, count: int) -> None:
        self.log.decide(count)

    @rule()
    def begin_commit(self) -> None:
        self.log.begin_commit()

    @rule()
    def end_commit(self) -> None:
        self.ledger.take_in(self.log.end_commit())

    @rule()
    def decide_and_commit_everything(self) -> None:
        self.log.decide(len(self.log.records) - self.log.decided)
        self.log.begin_commit()
        while self.log.in_flight:
            self.ledger.take_in(self.log.end_commit())

    @rule()
    def crash(self) -> None:
        self.log.crash()

    @precondition(lambda self: self.ledger.busy_skus())
    @rule(data=st.data())
    def the_ledger_answers(self, data: st.DataObject) -> None:
        self.ledger.answer(data.draw(st.sampled_from(self.ledger.busy_skus())), self.log)

    @rule(
        passed_ms=st.sampled_from([0, 1, 1_000, 5_000, 60_000, HOUR_MS]),
        behind_ms=st.sampled_from([0, 0, 3_000, 2**40]),
    )
    def tick(self, passed_ms: int, behind_ms: int) -> None:
        self.log.now_ms += passed_ms
        self.log.append(Tick(max(0, self.log.now_ms - behind_ms)))

    def teardown(self) -> None:
        run_to_rest(self.log, self.ledger, self.log.now_ms + 10_000)
        published = self.log.published
        audit.each_event_is_answered_once(self.register, published)
        audit.conflicts_keep_their_bytes(self.register, published)
        orders = audit.records_of_orders(self.register, published)
        for (ref, promotion), records in orders.items():
            audit.repeats_are_identical_and_revisions_rise(records)
            audit.events_are_answered_in_log_order(records)
            audit.an_order_takes_what_earlier_cancels_left(records)
            left = audit.units_left(records)
            assert left == {sku: self.ledger.held[promotion, sku, ref] for sku in left}
        held = sum(self.ledger.held.values())
        assert held == sum(sum(audit.units_left(records).values()) for records in orders.values())


class ForgetfulOrders(Orders):
    """The same with a retention so short that orders are forgotten all the time, and claims at any time."""

    retention_ms = 90_000

    @rule()
    def the_ledger_forgets(self) -> None:
        self.ledger.records.clear()

    def teardown(self) -> None:
        run_to_rest(self.log, self.ledger, self.log.now_ms + YEAR_MS)
        audit.each_event_is_answered_once(self.register, self.log.published)
        left = [key for key in self.log.store.rows if not key.startswith((b"OH", b"OK", b"!w"))]
        assert left == []


SETTINGS = settings(max_examples=150, stateful_step_count=40)
TestAnyOrder = Orders.TestCase
TestAnyOrder.settings = SETTINGS
TestForgetfulOrders = ForgetfulOrders.TestCase
TestForgetfulOrders.settings = SETTINGS
