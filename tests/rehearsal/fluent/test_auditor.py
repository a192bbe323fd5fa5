"""The auditor against a count from scratch: after any changes, by anybody, its figures are the stock's."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from rehearsal.fluent.auditor import Auditor
from rehearsal.fluent.channels import CancelRequest, Channels, OrderFlow, OrderRequest
from rehearsal.fluent.records import LIVE
from rehearsal.fluent.stale_reads import History
from rehearsal.fluent.store import Store
from rehearsal.fluent.switches import Controls, Sale
from rehearsal.fluent.workflow import Workflow

STOCK = {"A": {"L1": 10, "L2": 5}, "B": {"L1": 3}}
SKU = st.sampled_from(["A", "B"])
UNITS = st.integers(min_value=1, max_value=8)
TYPES = st.sampled_from(["SOFT_RESERVE", "RESERVED", "SALE", "CORRECTION", "LAST_ON_HAND"])
STATUS = st.sampled_from(["CREATED", "ACTIVE", "INACTIVE"])
REF = st.integers(min_value=0, max_value=4)

STEPS = st.one_of(
    st.tuples(st.just("create"), SKU, TYPES, UNITS),
    st.tuples(st.just("update"), REF, STATUS, UNITS),
    st.tuples(st.just("retype"), REF, TYPES),
    st.tuples(st.just("order"), REF, SKU, UNITS),
    st.tuples(st.just("cancel"), REF, SKU, UNITS),
    st.tuples(st.just("sell"), SKU, UNITS),
    st.tuples(st.just("batch")),
    st.tuples(st.just("later")),
)


class Account:
    """A stock with a clock that only moves when told, and the moves of the test."""

    def __init__(self) -> None:
        self.now = 1_000
        self.store = Store(lambda: self.now)
        self.auditor = Auditor(self.store)
        self.history = History(self.store)
        self.workflow = Workflow(self.store, Controls())
        self.orders = OrderFlow(self.store)
        self.channels = Channels(self.store, self.auditor, seed=0)
        self.created: list[str] = []
        self.store.load(STOCK)

    def do(self, name: str, *args: object) -> None:
        getattr(self, name)(*args)

    def create(self, sku: str, kind: str, units: int) -> None:
        ref = f"Q{len(self.created)}"
        self.store.create_quantity(
            ref=ref, position=f"{sku}:L1:DEFAULT", type=kind, quantity=-units, source="test"
        )
        self.created.append(ref)

    def _change(self, index: int, **changes: object) -> None:
        if index < len(self.created):
            self.store.update_quantity(self.store.catalogue, self.created[index], source="test", **changes)

    def update(self, index: int, status: str, units: int) -> None:
        self._change(index, status=status, quantity=-units)

    def retype(self, index: int, kind: str) -> None:
        self._change(index, type=kind)

    def order(self, number: int, sku: str, units: int) -> None:
        order = {"ref": f"O{number}-{sku}-{units}", "items": [{"sku": sku, "quantity": units}]}
        self.orders.book(OrderRequest.model_validate(order))

    def cancel(self, number: int, sku: str, units: int) -> None:
        self.order(number, sku, units)
        cancel = {"ref": f"O{number}-{sku}-{units}", "items": [{"sku": sku, "quantity": max(1, units // 2)}]}
        self.orders.cancel(CancelRequest.model_validate(cancel))

    def sell(self, sku: str, units: int) -> None:
        self.channels.sell(Sale(sku=sku, quantity=units))

    def batch(self) -> None:
        self.workflow.stock_batch(None)

    def later(self) -> None:
        self.now += 1_000
        self.workflow.run_due()

    def counted(self, sku: str, *types: str) -> int:
        """From scratch, over every record there is."""
        return sum(
            record.quantity
            for record in self.store.quantities.values()
            if record.position.startswith(f"{sku}:") and record.type in types and record.status in LIVE
        )


@settings(max_examples=60)
@given(st.lists(STEPS, max_size=25))
def test_the_figures_are_those_of_a_count_from_scratch(steps: list[tuple[str, object]]) -> None:
    account = Account()
    lowest = dict.fromkeys(STOCK, 10**9)
    for step in steps:
        account.do(*step)
        for sku in STOCK:
            lowest[sku] = min(lowest[sku], account.auditor.truth(sku)[sku]["available"])
    for sku in STOCK:
        truth = account.auditor.truth(sku)[sku]
        held, booked = -account.counted(sku, "SOFT_RESERVE"), -account.counted(sku, "RESERVED", "SALE")
        assert (truth["held"], truth["booked"]) == (held, booked)
        assert truth["available"] == account.counted(sku, "LAST_ON_HAND") - held - booked
        marks = account.auditor.figures[sku].marks
        assert marks["minAvailableWithHolds"] <= lowest[sku]
        assert marks["maxAvailable"] >= truth["available"]


@settings(max_examples=60)
@given(st.lists(STEPS, max_size=25))
@example([("create", "A", "RESERVED", 1), ("create", "A", "SOFT_RESERVE", 1), ("retype", 0, "SOFT_RESERVE")])
def test_sums_kept_per_position_are_those_of_its_quantities(steps: list[tuple[str, object]]) -> None:
    account = Account()
    for step in steps:
        account.do(*step)
    store = account.store
    for position in store.positions.values():
        for types in (None, ["SOFT_RESERVE"], ["LAST_ON_HAND", "SALE"]):
            records = list(store.quantities_of(position, types))
            assert [r.seq for r in records] == sorted(r.seq for r in records)
            live = [r.quantity for r in records if r.status in LIVE]
            assert store.aggregate(position, types, LIVE) == (sum(live), len(live))


@settings(max_examples=60)
@given(st.lists(STEPS, max_size=12), st.lists(STEPS, max_size=12))
def test_a_view_of_the_past_is_what_was_there(
    before: list[tuple[str, object]], after: list[tuple[str, object]]
) -> None:
    account = Account()
    for step in before:
        account.do(*step)
    store = account.store
    then, snapshot = account.now, dict(store.quantities)
    account.now += 1
    for step in after:
        account.do(*step)
    past = account.history.as_of(then)
    assert {(r.catalogue, r.ref): r for r in past.all_quantities()} == snapshot
    assert all(past.quantity(*key) == record for key, record in snapshot.items())
