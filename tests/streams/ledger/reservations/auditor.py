"""An auditor of the ledger's records: it knows nothing of rows and believes only what adds up."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field

from schemas.topics import FLUENT_REQUESTS, ORDER_COMMANDS, PROMOTION_COMMANDS, RESERVATION_RELEASES
from streams.ledger import commands as c
from streams.ledger import fluent_requests as f
from streams.ledger.effects import Send

Subject = tuple[str, str]


@dataclass
class Taken:
    """Units that an order still holds, and since when."""

    units: int
    at_ms: int


@dataclass
class Account:
    """What the records so far say about one reservation."""

    reserved: int = 0
    answered: bytes = b""
    decided: dict[str, bytes] = field(default_factory=dict)
    arrivals: list[str] = field(default_factory=list)
    """Orders that were claimed and not decided, in order of arrival."""
    taken: dict[str, Taken] = field(default_factory=dict)
    ends: int = 0
    state: str = ""
    version: int = 0
    number: int = 0
    requests: dict[int, bytes] = field(default_factory=dict)

    def held(self) -> int:
        """Units that orders hold."""
        return sum(taken.units for taken in self.taken.values())


class Auditor:
    """Told of every claim that goes in and every record that comes out, in order."""

    def __init__(self, settle_delay_ms: int) -> None:
        self.accounts: dict[Subject, Account] = defaultdict(Account)
        self.settle_delay_ms = settle_delay_ms

    def claimed(self, command: c.Claim) -> None:
        """A claim goes in."""
        account = self.accounts[command.promotion_id, command.sku]
        if command.order_ref not in account.decided and command.order_ref not in account.arrivals:
            account.arrivals.append(command.order_ref)

    def read(self, send: Send, now_ms: int) -> None:
        """A record comes out."""
        value = send.value or b""
        if send.topic == ORDER_COMMANDS:
            command = c.decode_order_command(value)
            if isinstance(command, c.LineDecided):
                self._decided(command, value, now_ms)
            elif isinstance(command, c.LineCancelled):
                self._cancelled(command)
        elif send.topic == PROMOTION_COMMANDS:
            answer = c.decode_promotion_command(value)
            if isinstance(answer, c.LineReserved):
                self._reserved(answer, value)
            elif isinstance(answer, c.LineFigures):
                self._figures(answer)
        elif send.topic == RESERVATION_RELEASES:
            self._released(json.loads(value))
        elif send.topic == FLUENT_REQUESTS:
            self._requested(f.decode_request(value), value, now_ms)

    def _decided(self, command: c.LineDecided, value: bytes, now_ms: int) -> None:
        account = self.accounts[command.promotion_id, command.sku]
        order = command.order_ref
        if order in account.decided:
            assert account.decided[order] == value, "a repeat got another answer"
            return
        account.decided[order] = value
        if command.reason == "CANCELLED":
            account.arrivals.remove(order)
            return
        assert account.arrivals.pop(0) == order, "not first come first served"
        left = account.reserved - account.held()
        if command.reason == "":
            assert command.quantity <= left, "oversold"
            account.taken[order] = Taken(command.quantity, now_ms)
        elif command.reason == "EXHAUSTED":
            assert command.quantity > left, "refused although there was enough"

    def _cancelled(self, command: c.LineCancelled) -> None:
        if command.quantity:
            taken = self.accounts[command.promotion_id, command.sku].taken[command.order_ref]
            taken.units -= command.quantity
            assert taken.units >= 0, "more given back than was taken"

    def _reserved(self, answer: c.LineReserved, value: bytes) -> None:
        account = self.accounts[answer.promotion_id, answer.sku]
        assert account.answered in (b"", value), "a repeated Reserve got another answer"
        account.answered = value
        account.reserved = 0 if answer.reason else answer.quantity

    def _figures(self, told: c.LineFigures) -> None:
        account, figures = self.accounts[told.promotion_id, told.sku], told.figures
        assert figures.version > account.version, "figures went back"
        assert figures.consumed == account.held()
        assert figures.reserved == account.reserved
        assert figures.released == (figures.reserved - figures.consumed if figures.state == "CLOSED" else 0)
        account.version, account.state = figures.version, figures.state

    def _released(self, record: dict[str, str | int]) -> None:
        account = self.accounts[str(record["promotionId"]), str(record["sku"])]
        assert record["reserved"] == account.reserved
        assert record["consumed"] == account.held()
        assert record["released"] == account.reserved - account.held()
        if record["cause"] != "CANCELLED":
            account.ends += 1
            assert account.ends == 1, "a hold ended twice"

    def _requested(self, request: f.FluentRequest, value: bytes, now_ms: int) -> None:
        account = self.accounts[request.promotion_id, request.sku]
        assert request.number >= account.number, "an older request was repeated"
        assert account.requests.setdefault(request.number, value) == value, "a repeat asks for something else"
        asked_again = request.number == account.number
        account.number = request.number
        if isinstance(request, f.SettleRequest) and not request.book_sale and not asked_again:
            ripe = [taken.units for taken in account.taken.values() if self._is_ripe(taken, now_ms)]
            assert request.consumed <= sum(ripe), "a sold unit was released before its order was booked"
            assert request.remaining == account.reserved - request.consumed

    def _is_ripe(self, taken: Taken, now_ms: int) -> bool:
        return taken.at_ms + self.settle_delay_ms <= now_ms
