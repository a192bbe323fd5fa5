"""An auditor of the ledger's records: it knows nothing of rows and believes only what adds up."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from schemas.topics import (
    FLUENT_REQUESTS,
    ORDER_COMMANDS,
    ORDER_OUTCOMES,
    PROMOTION_COMMANDS,
    RESERVATION_RELEASES,
    SALE_FIGURES,
)
from streams.ledger import commands as c
from streams.ledger import fluent_requests as f
from streams.ledger.effects import Send
from streams.ledger.reservations.attendance import BEAT_MS, LATE_MS
from streams.ledger.reservations.figures import EVERY_MS
from tests.streams.ledger.reservations.accounts import Account, Decision, Subject, Taken

SEEN_WITHIN_MS = LATE_MS + BEAT_MS
"""A delay between decision and commit may go unnoticed if it is shorter."""


class Auditor:
    """Told of every claim that goes in and every record that comes out, in order."""

    def __init__(self, settle_delay_ms: int) -> None:
        self.accounts: dict[Subject, Account] = defaultdict(Account)
        self.settle_delay_ms = settle_delay_ms
        self.watermark_ms = 0

    def asked(self, command: c.SkuCommand, now_ms: int) -> None:
        """A command goes in."""
        if isinstance(command, c.Tick):
            self.watermark_ms = max(self.watermark_ms, min(command.watermark_ms, now_ms))
        elif isinstance(command, c.Claim):
            self._claimed(command)
        elif isinstance(command, c.Keep):
            taken = self.accounts[command.promotion_id, command.sku].taken.get(command.order_ref)
            if taken is not None and command.unripe:
                taken.at_ms, taken.out_at_ms = now_ms, None
        elif isinstance(command, c.Reserve):
            account = self.accounts[command.promotion_id, command.sku]
            if account.expires_at_ms is None:
                account.expires_at_ms = command.expires_at_ms
                account.belied |= command.expires_at_ms <= self.watermark_ms
        elif isinstance(command, c.End):
            account = self.accounts[command.promotion_id, command.sku]
            if account.ended_at_ms is None or command.ended_at_ms < account.ended_at_ms:
                account.ended_at_ms = command.ended_at_ms
                account.belied |= command.ended_at_ms <= self.watermark_ms or account.expires_at_ms is None
        elif isinstance(command, c.Recall):
            self.accounts[command.promotion_id, command.sku].recalls[command.order_ref] = 1
        elif isinstance(command, c.Cancel):
            compensations = self.accounts[command.promotion_id, command.sku].compensations
            compensations.discard(command.order_ref)
            if command.compensation:
                compensations.add(command.order_ref)
        elif isinstance(command, c.SettleConfirmed):
            account = self.accounts[command.promotion_id, command.sku]
            if command.number == account.number:
                account.told = account.telling

    def committed(self, until_ms: int, now_ms: int) -> None:
        """What was decided up to `until_ms` is out."""
        for account in self.accounts.values():
            for taken in account.taken.values():
                if taken.out_at_ms is None and taken.at_ms <= until_ms:
                    taken.out_at_ms = now_ms

    def _claimed(self, command: c.Claim) -> None:
        account = self.accounts[command.promotion_id, command.sku]
        if command.source is not None:
            account.owed[command.source.topic, command.source.offset] += 1
        if command.order_ref not in account.decided and command.order_ref not in account.arrivals:
            account.arrivals.append(command.order_ref)
        if account.placed_at_ms.setdefault(command.order_ref, command.placed_at_ms) <= self.watermark_ms:
            account.unforeseen.add(command.order_ref)

    def read(self, send: Send, now_ms: int) -> None:
        """A record comes out."""
        value = send.value or b""
        if send.topic == ORDER_COMMANDS:
            command = c.decode_order_command(value)
            if isinstance(command, c.LineDecided):
                account = self.accounts[command.promotion_id, command.sku]
                told = (command.quantity, command.reason, command.cancelled)
                self._decided(account, command.order_ref, told, now_ms)
            elif isinstance(command, c.LineCancelled):
                self._cancelled(command)
            elif isinstance(command, c.LineRecalled):
                self._recalled(command)
        elif send.topic == ORDER_OUTCOMES:
            self._published(json.loads(value), send, now_ms)
        elif send.topic == PROMOTION_COMMANDS:
            answer = c.decode_promotion_command(value)
            if isinstance(answer, c.LineReserved):
                self._reserved(answer, value)
            elif isinstance(answer, c.LineFigures):
                self._figures(answer)
        elif send.topic == RESERVATION_RELEASES:
            self._released(json.loads(value))
        elif send.topic == SALE_FIGURES:
            self._told_everybody(json.loads(value), now_ms)
        elif send.topic == FLUENT_REQUESTS:
            self._requested(f.decode_request(value), value, now_ms)

    def _decided(self, account: Account, order: str, told: tuple[int, str, int], now_ms: int) -> None:
        if order in account.decided:
            assert told == account.decided[order].now(), "a repeat was told something else than what is held"
            return
        quantity, reason, cancelled = told
        assert not cancelled, "units were given back before they were taken"
        account.decided[order] = Decision(quantity, reason)
        if reason == "CANCELLED":
            account.arrivals.remove(order)
            return
        late = reason in ("EXPIRED", "ENDED")
        assert late or account.arrivals[0] == order, "not first come first served"
        account.arrivals.remove(order)
        self._in_time(account, order, reason)
        left = account.reserved - account.held()
        if reason == "":
            assert quantity <= left, "oversold"
            account.taken[order] = Taken(quantity, now_ms)
            held = account.reserved - account.let_go()
            assert self._young(account, now_ms) <= held, "a unit is sold that Fluent may not hold"
        elif reason == "EXHAUSTED":
            assert quantity > left - account.unheld(), "refused although there was enough"

    def _in_time(self, account: Account, order: str, reason: str) -> None:
        """Nothing that was placed late is taken, and what was placed in time is not told that it was late."""
        in_time = account.placed_at_ms[order] <= account.deadline_ms()
        assert in_time or reason != "", "an order that was placed late was taken"
        if reason in ("EXPIRED", "ENDED"):
            assert not in_time or order in account.unforeseen or account.belied, "in time, and told otherwise"
            expired_first = account.expires_at_ms == account.deadline_ms()
            assert expired_first or reason == "ENDED" or account.belied, "the end came first"

    def _published(self, outcome: dict[str, Any], send: Send, now_ms: int) -> None:
        """The outcome of an order that is one line: each event is answered once."""
        headers = dict(send.headers or [])
        event = headers["source-topic"].decode(), int(headers["source-offset"])
        parts = outcome["consumeResults"]
        account = self.accounts[outcome["promotionId"], parts[0]["sku"]]
        assert account.owed[event] == 1, "an event was answered twice, or nobody asked"
        del account.owed[event]
        cut = sum(part["quantity"] for part in parts if part.get("reason") == "CANCELLED")
        quantity = sum(part["quantity"] for part in parts)
        reasons = [part.get("reason", "") for part in parts]
        known = account.decided.get(outcome["orderRef"])
        if known is None or known.reason == "CANCELLED":
            cut = 0  # the order cancelled the claim while it waited: nothing was taken
        reason = known.reason if cut == quantity and known is not None else reasons[0]
        self._decided(account, outcome["orderRef"], (quantity, reason, cut), now_ms)

    def _recalled(self, command: c.LineRecalled) -> None:
        account = self.accounts[command.promotion_id, command.sku]
        assert account.recalls.pop(command.order_ref, 0), "nobody asked"
        if command.quantity:
            told = command.quantity, command.reason, command.cancelled
            assert told == account.decided[command.order_ref].now()

    def _cancelled(self, command: c.LineCancelled) -> None:
        account = self.accounts[command.promotion_id, command.sku]
        if command.quantity:
            taken = account.taken[command.order_ref]
            taken.units -= command.quantity
            account.given_back += command.quantity
            assert taken.units >= 0, "more given back than was taken"
            decision = account.decided[command.order_ref]
            if command.order_ref in account.compensations and not taken.units:
                decision.compensated = True
            else:
                decision.cancelled += command.quantity

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

    def _told_everybody(self, record: dict[str, Any], now_ms: int) -> None:
        account = self.accounts[record["promotionId"], record["sku"]]
        assert now_ms >= account.published_at_ms + EVERY_MS, "figures of a SKU more than once a second"
        del record["at"]
        assert record != account.published, "figures that had not changed"
        assert (record["reserved"], record["consumed"]) == (account.reserved, account.held())
        account.published, account.published_at_ms = record, now_ms

    def _released(self, record: dict[str, str | int]) -> None:
        account = self.accounts[str(record["promotionId"]), str(record["sku"])]
        assert record["reserved"] == account.reserved
        assert record["consumed"] == account.held()
        assert record["released"] == account.reserved - account.held()
        if record["cause"] != "CANCELLED":
            account.ends += 1
            assert account.ends == 1, "a hold ended twice"

    def _requested(self, request: f.AnyRequest, value: bytes, now_ms: int) -> None:
        if isinstance(request, f.VerifyPage):
            for line in request.lines:
                self._listed(line)
            return
        account = self.accounts[request.promotion_id, request.sku]
        assert request.number >= account.number, "an older request was repeated"
        assert account.requests.setdefault(request.number, value) == value, "a repeat asks for something else"
        asked_again = request.number == account.number
        account.number = request.number
        if isinstance(request, f.SettleRequest) and not request.book_sale and not asked_again:
            assert request.remaining >= self._young(account, now_ms), (
                "a unit is released that was only just sold"
            )
            account.telling, account.given_back = request.consumed, 0
            during_the_sale = request.remaining == account.reserved - request.consumed
            assert during_the_sale or request.remaining == account.held() - request.consumed
        if isinstance(request, f.ReleaseRequest) and not request.book_sale and not asked_again:
            assert not self._young(account, now_ms), "a unit is released that was only just sold"

    def _listed(self, line: f.VerifyRequest) -> None:
        """A line of a page tells of the newest request, and of what that asked to be held."""
        account = self.accounts[line.promotion_id, line.sku]
        assert line.number == account.number
        assert line.held == account.reserved - line.consumed > 0
        asked = f.decode_request(account.requests[line.number])
        if isinstance(asked, f.SettleRequest):
            assert line.held == asked.remaining, "Fluent was told to hold something else"

    def _young(self, account: Account, now_ms: int) -> int:
        """Units that were sold, or whose outcome was out, too short a time ago to be booked."""
        return sum(taken.units for taken in account.taken.values() if self._is_young(taken, now_ms))

    def _is_young(self, taken: Taken, now_ms: int) -> bool:
        delay_ms = self.settle_delay_ms
        if taken.at_ms + delay_ms > now_ms:
            return True
        if delay_ms <= SEEN_WITHIN_MS:
            return False
        return taken.out_at_ms is None or taken.out_at_ms + delay_ms - SEEN_WITHIN_MS > now_ms
