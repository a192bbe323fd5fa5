"""A model of the world around the order log: its records, commits, crashes, and the ledger that answers."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import Any

from schemas.topics import ORDER_COMMANDS, SKU_COMMANDS
from streams.ledger.commands import (
    Cancel,
    Claim,
    Keep,
    LineCancelled,
    Recall,
    Tick,
    decode_order_command,
    decode_sku_command,
)
from streams.ledger.effects import MAX_EFFECTS, Effects, Send
from streams.ledger.orders import decide, earliest_deadline_ms, next_watermark_deadline_ms
from streams.ledger.reservations.publishing import publish_decision, tell_line, tell_recalled
from streams.ledger.reservations.state import ClaimRow
from streams.ledger.reservations.turn import ReservationTurn, take
from streams.ledger.rows import MemoryStore, Rows


class Log:
    """One partition of order-commands with its worker: batches are decided, then committed or lost.

    What a batch sends is seen by nobody before its commit, as in a Kafka transaction.
    """

    def __init__(self, start_ms: int) -> None:
        self.records: list[tuple[Any, int]] = []
        self.now_ms = start_ms
        self.store = MemoryStore()
        self.rows = Rows(self.store)
        self.decided = 0
        self.committed = 0
        self.in_flight: list[tuple[int, dict[bytes, bytes | None], list[Send]]] = []
        self.open: list[Send] = []
        self.published: list[Send] = []

    def append(self, command: Any) -> int:
        """Append a record, stamped by the broker; returns its offset."""
        self.records.append((command, self.now_ms))
        return len(self.records) - 1

    def decide(self, count: int) -> None:
        """Decide up to `count` further records of the log."""
        for command, at_ms in self.records[self.decided : self.decided + count]:
            effects = Effects()
            decide(self.rows, command, at_ms, effects)
            assert len(effects.sends) <= MAX_EFFECTS
            self.open += effects.sends
            self.decided += 1

    def begin_commit(self) -> None:
        """Hand the batch to its transaction; further records may be decided meanwhile."""
        self.in_flight.append((self.decided, self.rows.flush(), self.open))
        self.open = []

    def end_commit(self) -> list[Send]:
        """The oldest transaction is committed: its rows are stored, its records visible."""
        if not self.in_flight:
            return []
        self.committed, changes, sends = self.in_flight.pop(0)
        self.store.write(changes)
        self.rows.committed()
        self.published += sends
        for send in sends:
            if send.topic == ORDER_COMMANDS:
                self.append(decode_order_command(send.value or b""))
        return sends

    def crash(self) -> None:
        """Everything that was not committed is gone; the next owner goes on from the last commit."""
        self.rows.reset()
        self.in_flight, self.open = [], []
        self.decided = self.committed

    def deadline_ms(self) -> int | None:
        """What the owner's timer looks at."""
        found = earliest_deadline_ms(self.rows), next_watermark_deadline_ms(self.rows)
        return min((due_ms for due_ms in found if due_ms is not None), default=None)


class Ledger:
    """Takes and gives back units, SKU by SKU; SKUs answer in any order, one SKU in its log's order."""

    def __init__(self, stock: dict[str, int]) -> None:
        self.stock = dict(stock)
        self.held: dict[tuple[str, str, str], int] = defaultdict(int)
        self.logs: dict[str, deque[Claim | Cancel | Recall]] = defaultdict(deque)
        self.records: dict[tuple[str, str, str], ClaimRow] = {}

    def take_in(self, sends: list[Send]) -> None:
        """What the orders stage has sent."""
        for send in sends:
            if send.topic == SKU_COMMANDS:
                command = decode_sku_command(send.value or b"")
                assert isinstance(command, Claim | Cancel | Recall | Keep)
                assert send.key == command.sku.encode()
                if not isinstance(command, Keep):
                    self.logs[command.sku].append(command)

    def busy_skus(self) -> list[str]:
        """SKUs with something to answer."""
        return sorted(sku for sku, log in self.logs.items() if log)

    def answer(self, sku: str, log: Log) -> None:
        """Decide the next command of a SKU; what it says is appended to the log, or published."""
        command = self.logs[sku].popleft()
        subject = (command.promotion_id, sku, command.order_ref)
        turn = take(Rows(MemoryStore()), Effects(), log.now_ms, command.promotion_id, sku)
        match command:
            case Claim():
                self._claim(command, subject, turn)
            case Recall():
                tell_recalled(turn, command.order_ref, self.records.get(subject) or ClaimRow(0, ""))
            case Cancel():
                self._cancel(command, subject)
                log.append(LineCancelled(subject[0], subject[2], sku, command.operation, command.quantity))
        for send in turn.effects.sends:
            if send.topic == ORDER_COMMANDS:
                log.append(decode_order_command(send.value or b""))
            else:
                log.published.append(send)

    def _claim(self, command: Claim, subject: tuple[str, str, str], turn: ReservationTurn) -> None:
        record = self.records.get(subject)
        if record is None:
            units = command.quantity - command.withheld
            reason = "" if self.stock[command.sku] >= units else "EXHAUSTED"
            record = ClaimRow(command.quantity, reason, turn.now_ms, command.withheld)
            if not reason:
                self.stock[command.sku] -= units
                self.held[subject] += units
        if command.source is None:
            tell_line(turn, command.order_ref, record, again=subject in self.records)
        else:
            publish_decision(turn, command.order_ref, record, command.source, command.quantity)
        self.records[subject] = record

    def _cancel(self, command: Cancel, subject: tuple[str, str, str]) -> None:
        assert 0 < command.quantity <= self.held[subject], "more is asked back than was taken"
        self.held[subject] -= command.quantity
        self.stock[command.sku] += command.quantity
        record = self.records.get(subject)
        if record is not None and command.compensation:
            record.reason = "INCOMPLETE_ORDER"
        elif record is not None:
            record.cancelled += command.quantity


def run_to_rest(log: Log, ledger: Ledger, until_ms: int) -> None:
    """Decide, commit and answer until nothing is left to do up to `until_ms`, timer included."""
    while True:
        log.decide(len(log.records) - log.decided)
        log.begin_commit()
        while log.in_flight:
            ledger.take_in(log.end_commit())
        for sku in ledger.busy_skus():
            ledger.answer(sku, log)
        if log.decided < len(log.records) or ledger.busy_skus():
            continue
        deadline_ms = log.deadline_ms()
        if deadline_ms is None or deadline_ms > until_ms:
            return
        log.now_ms = max(log.now_ms, deadline_ms)
        log.append(Tick(log.now_ms))
