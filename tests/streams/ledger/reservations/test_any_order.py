"""Whatever happens in whatever order: the ledger's invariants, by a state machine over random logs."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from schemas.drift import DriftKind
from streams.ledger import commands as c
from streams.ledger import fluent_requests as f
from streams.ledger.reservations import earliest_deadline_ms, next_watermark_deadline_ms, queue
from streams.ledger.reservations.state import (
    CLAIMS,
    RESERVATIONS,
    WAITERS,
    WAITING,
    Reservation,
    next_mark_ms,
    next_wake_ms,
)
from streams.ledger.terms import Source, Terms
from tests.streams.ledger.reservations.partition import Partition

SUBJECTS = [("A", "1"), ("B", "1")]
RETENTION_MS = 600_000

subjects = st.sampled_from(SUBJECTS)
orders = st.integers(1, 10).map("O-{}".format)
units = st.integers(1, 4)


class LedgerMachine(RuleBasedStateMachine):
    """Subclasses choose the terms."""

    terms = Terms()

    def __init__(self) -> None:
        super().__init__()
        self.partition = Partition(self.terms.settle_delay_ms)
        self.refused: set[tuple[str, str]] = set()
        self.placed: dict[tuple[str, str, str], c.Claim] = {}
        self.events = 0

    @rule(subject=subjects, quantity=st.integers(0, 9), lasts_ms=st.sampled_from([-5_000, 20_000, 200_000]))
    def reserve(self, subject: tuple[str, str], quantity: int, lasts_ms: int) -> None:
        expires_at_ms = self.partition.now_ms + lasts_ms
        self.partition.decide(c.Reserve(*subject, quantity, expires_at_ms, self.terms, b"{}"))

    @rule(subject=subjects, quantity=st.integers(3, 9))
    def open(self, subject: tuple[str, str], quantity: int) -> None:
        """The usual way into a sale, so that most runs have one."""
        self.reserve(subject, quantity, 200_000)
        self.partition.decide(c.HoldConfirmed(*subject, 1, quantity))

    @rule(subject=subjects, rush=st.lists(st.tuples(orders, units), min_size=1, max_size=6))
    def claims(self, subject: tuple[str, str], rush: list[tuple[str, int]]) -> None:
        for order, quantity in rush:
            self.claim(subject, order, quantity, 0)

    @rule(
        subject=subjects,
        order=orders,
        quantity=units,
        age_ms=st.sampled_from([0, 15_000]),
        whole=st.booleans(),
    )
    def claim(
        self, subject: tuple[str, str], order: str, quantity: int, age_ms: int, whole: bool = False
    ) -> None:
        """New, or a repeat of the order's first claim; the `whole` order, or a line of it."""
        placed_at_ms = self.partition.now_ms - age_ms
        command = c.Claim(*subject, quantity, order, placed_at_ms, 5_000, RETENTION_MS)
        command = self.placed.setdefault((*subject, order), command)
        self.events += 1
        source = Source("order-placed", 0, self.events) if whole else None
        self.partition.decide(msgspec.structs.replace(command, source=source))

    @rule(subject=subjects, order=orders)
    def recall(self, subject: tuple[str, str], order: str) -> None:
        self.partition.decide(c.Recall(*subject, order))

    @rule(subject=subjects, order=orders, unripe=st.booleans())
    def keep(self, subject: tuple[str, str], order: str, unripe: bool) -> None:
        self.partition.decide(c.Keep(*subject, order, unripe))

    @rule(subject=subjects, order=orders, quantity=st.integers(0, 3), compensation=st.booleans())
    def cancel(self, subject: tuple[str, str], order: str, quantity: int, compensation: bool) -> None:
        self.partition.decide(c.Cancel(*subject, quantity, order, 1, compensation))

    @rule(subject=subjects, age_ms=st.sampled_from([0, 15_000, 300_000]))
    def end(self, subject: tuple[str, str], age_ms: int) -> None:
        self.partition.decide(c.End(*subject, self.partition.now_ms - age_ms))

    @rule(
        passed_ms=st.sampled_from([0, 1, 3_000, 10_000, 31_000, 70_000]),
        behind_ms=st.sampled_from([-70_000, 0, 0, 10_000, 100_000, 2_000_000_000_000]),
    )
    def tick(self, passed_ms: int, behind_ms: int) -> None:
        """Late, on time or early: then it says and changes nothing. The watermark may be anything."""
        partition = self.partition
        partition.now_ms += passed_ms
        clock_ms, mark_ms = earliest_deadline_ms(partition.rows), next_watermark_deadline_ms(partition.rows)
        partition.tick(max(0, partition.now_ms - behind_ms))
        by_clock = clock_ms is not None and clock_ms <= partition.now_ms
        by_watermark = mark_ms is not None and mark_ms <= partition.auditor.watermark_ms
        if not by_clock and not by_watermark:
            assert partition.batches[-1].log[-1][2] == []

    @rule(data=st.data())
    def fluent_answers(self, data: st.DataObject) -> None:
        """Any request so far may be answered, again and again, truthfully or with a refusal."""
        if self.partition.requests:
            back = st.one_of(st.just(1), st.integers(1, len(self.partition.requests)))
            request = self.partition.requests[-data.draw(back)]
            answer = data.draw(st.sampled_from(ANSWERS[type(request)]))(request)
            if isinstance(answer, c.ReleaseFailed):
                self.refused.add((answer.promotion_id, answer.sku))
            self.partition.decide(answer)

    @rule()
    def own(self) -> None:
        if self.partition.own:
            self.partition.decide(self.partition.own.popleft())

    @rule(step=st.sampled_from([Partition.flush, Partition.land, Partition.crash]))
    def commit_or_crash(self, step: Callable[[Partition], None]) -> None:
        step(self.partition)

    @invariant()
    def figures_and_queues_are_sound(self) -> None:
        wakes, marks = [], []
        for subject in SUBJECTS:
            key = c.reservation_key(*subject)
            row = self.partition.rows.get(RESERVATIONS, key)
            if row is not None:
                self._row_is_sound(key, row)
                if row.wake_at_ms:
                    wakes.append((row.wake_at_ms, b"w", key))
                if row.mark_at_ms:
                    marks.append((row.mark_at_ms, b"w", key))
        assert sorted(wakes) == [due for due in self.partition.deadlines() if due[1] == b"w"]
        assert sorted(marks) == [due for due in self.partition.watermark_deadlines() if due[1] == b"w"]

    def _row_is_sound(self, key: bytes, row: Reservation) -> None:
        assert 0 <= row.claimed <= row.reserved <= max(row.quantity, 0)
        assert (row.wake_at_ms, row.mark_at_ms) == (next_wake_ms(row), next_mark_ms(row))
        if row.state == "PENDING" or (row.state == "ACTIVE" and row.terms.auto_release):
            assert bool(row.close_at_ms) != row.close_waits, "it will never close"
        assert len(row.unripe_at_ms) == len(row.unripe_units)
        assert row.unripe_at_ms == sorted(set(row.unripe_at_ms))
        assert min(row.unripe_units, default=0) >= 0 and sum(row.unripe_units) <= row.claimed
        claims = self.partition.rows.scan(CLAIMS, key + b"\0", key + b"\x01", 1_000)
        waiting = [claim for _, claim in claims if claim.reason == WAITING]
        queued = self.partition.rows.scan(WAITERS, key + b"\0", key + b"\x01", 1_000)
        assert sorted(claim.seq for claim in waiting) == [int.from_bytes(k[-8:], "big") for k, _ in queued]
        assert all(row.head <= claim.seq < row.tail for claim in waiting)
        may_wait = row.state == "UNKNOWN" or (row.state == "PENDING" and not row.hold_overdue)
        assert may_wait or row.draining or row.head == row.tail
        if row.state not in ("CLOSED", "REJECTED", "UNKNOWN"):
            held = [claim.quantity - claim.cancelled for _, claim in claims if claim.reason == ""]
            assert row.claimed == sum(held)

    def teardown(self) -> None:
        """Everything ends well: all answered, all released, nothing left to do, nothing kept for ever."""
        partition = self.partition
        partition.decide_own()
        for subject in SUBJECTS:
            partition.decide(c.End(*subject, partition.now_ms))
        self._until_idle()
        partition.settle_down()
        for subject, account in partition.auditor.accounts.items():
            assert account.arrivals == [], "a claim was never answered"
            assert not +account.owed, "an event was never answered"
            assert not account.recalls, "a recall was never answered"
            assert account.ends == (1 if account.reserved else 0) or subject in self.refused
            assert account.state in ("CLOSED", "REJECTED")
            if account.expires_at_ms is not None:
                told = account.published["status"], account.published["consumed"]
                assert told == (account.state, account.held()), "the last figures were not published"
        assert {key[:2] for key in partition.store.rows} <= {b"RR", b"RA", b"RT", b"RV", b"!w"}
        assert not partition.deadlines() and not partition.watermark_deadlines()

    def _until_idle(self) -> None:
        partition = self.partition
        for _ in range(1_000):
            partition.decide_own()
            answered = len(partition.requests)
            for request in partition.requests[-30:]:
                partition.decide(ANSWERS[type(request)][0](request))
            found = earliest_deadline_ms(partition.rows), next_watermark_deadline_ms(partition.rows)
            due_ms = min((due_ms for due_ms in found if due_ms is not None), default=None)
            if due_ms is not None:
                partition.now_ms = max(partition.now_ms, due_ms)
                partition.commit()
                partition.tick(partition.now_ms)
            elif len(partition.requests) == answered:
                return
        raise AssertionError("the ledger does not come to rest")


def _about(page: f.VerifyPage, drift_units: int, kind: DriftKind | None) -> c.Verified:
    line = page.lines[0]
    return c.Verified(
        *_ids(line), line.held + drift_units, drift_units, kind, 0, 0 if page.alone else page.round
    )


def _ids(request: f.FluentRequest) -> tuple[str, str, int]:
    return request.promotion_id, request.sku, request.number


ANSWERS: dict[type, list[Callable[..., c.SkuCommand]]] = {
    f.HoldRequest: [
        lambda r: c.HoldConfirmed(*_ids(r), r.quantity),
        lambda r: c.HoldConfirmed(*_ids(r), r.quantity),
        lambda r: c.HoldConfirmed(*_ids(r), r.quantity - 1),
        lambda r: c.HoldFailed(*_ids(r), "INSUFFICIENT_INVENTORY", "Fluent has fewer units."),
    ],
    f.SettleRequest: [
        lambda r: c.SettleConfirmed(*_ids(r), r.remaining),
        lambda r: c.SettleFailed(*_ids(r), "forbidden"),
    ],
    f.ReleaseRequest: [
        lambda r: c.ReleaseConfirmed(*_ids(r)),
        lambda r: c.ReleaseFailed(*_ids(r), 3, "forbidden"),
    ],
    f.VerifyRequest: [
        lambda r: c.Verified(*_ids(r), r.held),
        lambda r: c.Verified(*_ids(r), r.held + 1, 1, DriftKind.FOREIGN_CHANGE),
        lambda r: c.Verified(*_ids(r), r.held, 0, DriftKind.LATE_ACTIVATION, 2),
    ],
    f.VerifyPage: [
        lambda r: c.PageVerified(r.round, r.page),
        lambda r: _about(r, 0, None),
        lambda r: _about(r, 1, DriftKind.FOREIGN_CHANGE),
    ],
}


class OrderFlowMachine(LedgerMachine):
    terms = Terms(retention_ms=RETENTION_MS, hold_timeout_ms=15_000)


class SaleMachine(LedgerMachine):
    terms = Terms(retention_ms=RETENTION_MS, hold_timeout_ms=15_000, book_sale=True)


class HeldUntilEndMachine(LedgerMachine):
    terms = Terms(retention_ms=RETENTION_MS, settle_delay_ms=60_000, auto_release=False)


@pytest.mark.parametrize("machine", [OrderFlowMachine, SaleMachine, HeldUntilEndMachine])
def test_no_order_of_events_breaks_an_invariant(
    machine: type[LedgerMachine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two waiting claims a command, so that the Continues interleave with everything else."""
    monkeypatch.setattr(queue, "MAX_CLAIMS", 2)
    limits = settings(
        max_examples=40,
        stateful_step_count=50,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    run_state_machine_as_test(machine, settings=limits)
