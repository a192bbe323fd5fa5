"""The demo's course: promotions start, orders rush in, a worker dies, the sales end, the figures add up."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from rehearsal.demo.display import Progress
from rehearsal.demo.evidence import AUDITED, Evidence
from rehearsal.demo.plan import Plan
from rehearsal.demo.processes import StageError
from rehearsal.demo.proof import UNDECIDED_AT_LEAST, fluent_agrees, nothing_held, reports_add_up
from rehearsal.demo.shop import BackOffice, Checkout, OrderFlow, Outbox
from rehearsal.demo.stage import Stage
from rehearsal.demo.topics import Watch, read_afresh
from schemas.times import iso_utc
from schemas.topics import PROMOTION_END, PROMOTION_START
from streams.system import now_ms

SHORT_SALE_S = 12.0
"""The promotion that expires lasts this long, or three quarters of a paced replay if that is longer."""

LONG_SALE_MINUTES = 120
LOOK_S = 0.02
START_TIMEOUT_S = 60.0
STANDSTILL_S = 45.0
"""When nothing was decided for this long, the demo gives up."""
END_TIMEOUT_S = 60.0
SETTLE_TIMEOUT_S = 5.0


class Sale:
    """A sale on a stage that is set. `killed_at_ms`: when a worker was killed (Unix time), 0: none was."""

    def __init__(self, stage: Stage, plan: Plan, speed: float | None, progress: Progress) -> None:
        self._stage = stage
        self._plan = plan
        self._speed = speed
        self._progress = progress
        self._watch = Watch(stage.settings)
        self._outbox = Outbox(stage.settings)
        self._office = BackOffice(stage.settings, OrderFlow(stage.fluent_url), self._outbox)
        self._checkout = Checkout(plan, self._outbox, speed, self._office.cancel_when_decided)
        self._span_s = plan.span_s / speed if speed else 0.0
        self.killed_at_ms = 0

    def run(self) -> Evidence:
        """From the first promotion to the last report. Raises StageError when it does not get on."""
        with ExitStack() as closing:
            closing.callback(self._watch.close)
            closing.callback(self._office.stop)
            closing.callback(self._checkout.stop)
            stock = {sku: figures["available"] for sku, figures in self._stage.truth().items()}
            self._start_promotions()
            self._rush()
            self._end_promotions()
            with self._progress.phase("Topics and Fluent read back"):
                return self._settled(stock)

    def _start_promotions(self) -> None:
        with self._progress.phase("Promotions started, stock set aside in Fluent"):
            for promotion in self._plan.promotions:
                skus = [{"sku": sku, "quantity": units} for sku, units in promotion.units.items()]
                start = {"id": promotion.id, "skus": skus, **self._duration(promotion.expires)}
                self._send(PROMOTION_START, start)
            self._outbox.flush()
            self._until(self._all_started, START_TIMEOUT_S, "every promotion has its reservations")

    def _all_started(self) -> bool:
        if self._watch.first_refusal is not None:
            raise StageError(f"A promotion was refused: {self._watch.first_refusal}")
        return len(self._watch.started) == len(self._plan.promotions)

    def _duration(self, expires: bool) -> dict[str, Any]:
        if not expires:
            return {"durationMinutes": LONG_SALE_MINUTES + math.ceil(self._span_s / 60)}
        lasts_s = max(SHORT_SALE_S, self._span_s * 3 / 4)
        return {"expiresAt": iso_utc(now_ms() + round(lasts_s * 1_000))}

    def _rush(self) -> None:
        """Orders come in, and a worker is killed among them; over when each is answered and booked."""
        with self._progress.phase("All orders decided and booked"), self._progress.rush():
            self._office.start()
            self._checkout.start()
            seen, moved_at = (0, 0), time.monotonic()
            while not self._everything_answered():
                self._look()
                self._show()
                if not self.killed_at_ms and self._amid_the_rush():
                    self._kill()
                now = self._watch.outcomes, self._office.booked
                if now != seen or not self._checkout.done:
                    seen, moved_at = now, time.monotonic()
                elif time.monotonic() - moved_at > STANDSTILL_S:
                    raise StageError(f"Nothing moved for {STANDSTILL_S:.0f} s: {self._watch.tally.sentence}.")
        self._show(last=True)

    def _amid_the_rush(self) -> bool:
        """In a burst while many orders are undecided, in a paced replay when half of them are decided."""
        decided = self._watch.decided
        if self._speed is not None:
            return decided * 2 >= self._plan.orders
        if not 0 < decided <= self._plan.orders - UNDECIDED_AT_LEAST:
            return False
        return self._watch.placed() - decided >= UNDECIDED_AT_LEAST

    def _kill(self) -> None:
        name, self.killed_at_ms = self._stage.kill_a_worker()
        self._progress.say(f"{name} killed with SIGKILL amid the rush")

    def _everything_answered(self) -> bool:
        """Every input record is answered, and the shop is done with every answer (so it sends no more)."""
        if not self._checkout.done or self._office.handled != self._watch.outcomes:
            return False
        return self._watch.unanswered() == 0

    def _end_promotions(self) -> None:
        ended = [promotion.id for promotion in self._plan.promotions if not promotion.expires]
        with self._progress.phase("Promotions ended or expired, reports final"):
            for name in ended:
                self._send(PROMOTION_END, {"id": name, "reason": "sold out"})
            self._outbox.flush()
            timeout_s = END_TIMEOUT_S + max(SHORT_SALE_S, self._span_s)
            self._until(self._all_final, timeout_s, "every promotion has its final report")

    def _all_final(self) -> bool:
        return len(self._watch.final) == len(self._plan.promotions)

    def _settled(self, stock: dict[str, int]) -> Evidence:
        """Read everything; once more where reports may have a further revision, or Fluent a last write."""
        checks = (reports_add_up, nothing_held, fluent_agrees)
        deadline = time.monotonic() + SETTLE_TIMEOUT_S
        evidence = self._evidence(stock)
        while time.monotonic() < deadline and not all(check(evidence).holds for check in checks):
            self._look(wait_s=1.0)
            evidence = self._evidence(stock)
        return evidence

    def _evidence(self, stock: dict[str, int]) -> Evidence:
        return Evidence(read_afresh(self._stage.settings, AUDITED), self._stage.truth(), stock)

    def _until(self, reached: Callable[[], bool], timeout_s: float, what: str) -> None:
        deadline = time.monotonic() + timeout_s
        while not reached():
            self._look()
            if time.monotonic() > deadline:
                raise StageError(f"After {timeout_s:.0f} s still not: {what}.")

    def _look(self, wait_s: float = LOOK_S) -> None:
        self._watch.look(wait_s)
        self._stage.check()
        for failure in (self._checkout.failure, self._office.failure):
            if failure is not None:
                raise StageError(f"The demo's shop failed: {failure!r}") from failure

    def _show(self, *, last: bool = False) -> None:
        self._watch.tally.sent = self._plan.orders
        self._watch.tally.booked = self._office.booked
        if last:
            self._progress.say(self._watch.tally.sentence)
        else:
            self._progress.show(self._watch.tally)

    def _send(self, topic: str, promotion: dict[str, Any]) -> None:
        self._outbox.send(topic, json.dumps({"promotion": promotion}).encode(), promotion["id"])
