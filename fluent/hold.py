"""Hold: set units of one SKU aside at its positions, all of them or none.

Each round reads what is there, and does the one thing that is missing:

1. parts found by ref are the plan; one that has ended means that this hold was given up: it stays so;
2. what the plan lacks is spread over what is free, and created under the next refs;
3. the parts are read back together with what is free at their positions. Below zero means that somebody
   else took the same units in between (Fluent has no compare-and-set): we yield, and plan them elsewhere;
4. nothing to complain about: the first part gets the mark that the hold is confirmed.

So a crash between any two calls leaves a state from which the next run goes on, and a repeat after the
confirmation changes nothing, even where the hold has been settled meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fluent.errors import Duplicate, HeldByAnother, NotFound, NotSettled, Refused, in_short
from fluent.parts import (
    WINDOW,
    Attributes,
    Part,
    hold_attributes,
    iso_time,
    owed_by_part,
    part_ref,
    shed,
    spread,
    total_free,
)
from fluent.stock import Stock, all_over, end_all
from schemas.reasons import Reason
from streams.ledger.commands import HoldConfirmed, HoldFailed
from streams.ledger.fluent_requests import HoldRequest
from streams.log import get_logger

log = get_logger("fluent")

MAX_ROUNDS = 12
"""Rounds in a row that may pass without a new part."""


class Hold:
    """One hold request; `run()` may be called again after any failure."""

    def __init__(
        self, stock: Stock, request: HoldRequest, pause_s: float, wait_s: float, now_ms: Callable[[], int]
    ) -> None:
        """`pause_s`: before a second look, where the first one shows something that a lag may explain.

        `wait_s`: holds of others that end within this time, by `now_ms`, are waited for; 0: none is.
        """
        self._stock = stock
        self._request = request
        self._pause_s = pause_s
        self._wait_s = wait_s
        self._now_ms = now_ms
        self._elsewhere: dict[str, int] = {}
        self._duplicates = 0
        self._found_short = False
        self._found_taken = False

    async def run(self) -> HoldConfirmed | HoldFailed:
        """Raises Unanswered when it cannot be known now."""
        rounds = known = 0
        while rounds < MAX_ROUNDS:
            parts = await self._stock.parts()
            ours = self._stock.ours(parts)
            rounds = 0 if len(ours) > known else rounds + 1
            known = len(ours)
            other = next((part for part in parts if part not in ours), None)
            answer = await (self._conflict(parts, self._taken(other)) if other else self._round(ours))
            if answer is not None:
                return answer
        raise NotSettled(f"the hold {self._stock.stem} keeps changing")

    async def _round(self, parts: list[Part]) -> HoldConfirmed | HoldFailed | None:
        """One thing done, or the answer."""
        if any(not part.live for part in parts):
            return await self._given_up(parts)
        answer = self._found(parts)
        if isinstance(answer, HoldFailed):
            return await self._conflict(parts, answer)
        if answer is not None:
            return answer
        missing = self._request.quantity - sum(part.planned for part in parts)
        if missing < 0:
            await self._trim(parts, -missing)
            return None
        if missing > 0:
            outcome = await self._extend(parts, missing)
            if not isinstance(outcome, list):
                return outcome
            parts = parts + outcome
            if sum(part.planned for part in parts) < self._request.quantity:
                return None
        return await self._read_back(parts)

    async def _conflict(self, parts: list[Part], answer: HoldFailed) -> HoldFailed | None:
        """At a second look, for the first may not show it whole: what is somebody else's is left alone. What
        this run has made beside it ends, because nobody verifies it after this."""
        if not self._found_taken:
            self._found_taken = True
            await asyncio.sleep(self._pause_s)
            return None
        expires_at = iso_time(self._request.expires_at_ms)
        own = [part for part in self._stock.ours(parts) if part.live and part.expires_at == expires_at]
        if len(own) < len(parts):
            await all_over([self._stock.end(part) for part in own])
        return answer

    # --- planning and creating ----------------------------------------------------------------------

    async def _extend(self, parts: list[Part], missing: int) -> list[Part] | HoldFailed | None:
        """The parts that were created; None where the next round has to look first."""
        free = await self._stock.free()
        self._elsewhere = free
        plan = spread(free, missing)
        if plan is None:
            return await self._short(parts, free, missing)
        first = parts[-1].number + 1 if parts else 1
        # Up to the end of this window of refs; the next round goes on when these are known to exist.
        room = WINDOW - (first - 1) % WINDOW
        new = [self._new_part(first + index, *share) for index, share in enumerate(plan[:room])]
        try:
            await all_over([self._stock.create(part, self._attributes(part.planned)) for part in new])
            return new
        except Duplicate:
            return await self._found_by_another(parts)
        except NotFound:
            await asyncio.sleep(self._pause_s)
        except Refused as refusal:
            return await self._refused(refusal)
        return None

    def _new_part(self, number: int, position: str, units: int) -> Part:
        ref = part_ref(self._stock.stem, number)
        return Part(ref, position, self._stock.sku, self._stock.profile.hold_type, units, live=True)

    async def _found_by_another(self, before: list[Part]) -> HoldFailed | None:
        """The ref exists although the look-up did not show it: it lags, or another gateway was quicker.

        The other parts of this plan may have been created, so the next look-up must not lag behind them.
        """
        self._duplicates += 1
        await asyncio.sleep(self._pause_s)
        if self._duplicates <= 3 or len(await self._stock.parts()) > len(before):
            return None
        await self._end_all(before)
        return self._failed(
            Reason.CONFLICT, f"A ref {self._stock.stem}-… is taken by something that is not this SKU's."
        )

    def _attributes(self, planned: int, *, confirmed: bool = False) -> Attributes:
        request = self._request
        return hold_attributes(
            request.promotion_id, request.expires_at_ms, planned, request.attributes, confirmed=confirmed
        )

    async def _trim(self, parts: list[Part], excess: int) -> None:
        """More is planned than was asked for: two runs planned at once. The last parts give way."""
        await self._replan(parts, shed([part.planned for part in parts], excess))

    async def _replan(self, parts: list[Part], sizes: list[int]) -> None:
        await all_over(
            [
                self._stock.replan(part, size, self._attributes(size))
                for part, size in zip(parts, sizes, strict=True)
                if size != part.planned
            ]
        )

    # --- reading back -------------------------------------------------------------------------------

    async def _read_back(self, parts: list[Part]) -> HoldConfirmed | HoldFailed | None:
        seen, free = await self._look(parts)
        if any(part is not None and not part.live for part in seen):
            # Ended since it was created, by a late write or by somebody: what has ended stays ended.
            return await self._given_up([part for part in seen if part is not None])
        if any(part is None or part.units != plan.planned for part, plan in zip(seen, parts, strict=True)):
            if all(part is not None and part.live for part in seen) and self._duplicates > 3:
                raise NotSettled(f"parts of {self._stock.stem} do not hold what was planned")
            self._duplicates += 1
            await asyncio.sleep(self._pause_s)
            await self._restore(parts)
            return None
        owed = owed_by_part(parts, free, self._elsewhere)
        if any(owed):
            log.warning(
                "fluent_race_lost", sku=self._stock.sku, hold=self._stock.stem, units=sum(owed),
                recommendation="none: another channel took the stock, and the hold is planned again",
            )  # fmt: skip
            await self._replan(parts, [part.planned - units for part, units in zip(parts, owed, strict=True)])
            return None
        first = parts[0]
        await self._stock.confirm(first, self._attributes(first.planned, confirmed=True))
        return self._confirmed(self._request.quantity)

    async def _look(self, parts: list[Part]) -> tuple[list[Part | None], dict[str, int]]:
        """The parts and what is free at their positions."""
        if self._stock.profile.has("checkPart"):
            looks = await asyncio.gather(*(self._stock.check(part) for part in parts))
            return [seen for seen, _ in looks], {
                part.position: free for part, (_, free) in zip(parts, looks, strict=True)
            }
        found = {part.ref: part for part in self._stock.ours(await self._stock.parts())}
        return [found.get(part.ref) for part in parts], await self._stock.free()

    async def _restore(self, parts: list[Part]) -> None:
        """A part of the unconfirmed hold does not hold its plan: an old write came late. Write it again."""
        now = self._stock.ours(await self._stock.parts())
        known = {part.ref for part in parts}
        wrong = [part for part in now if part.ref in known and part.live and part.units != part.planned]
        await all_over([self._stock.resize(part, part.planned) for part in wrong])

    # --- answers ------------------------------------------------------------------------------------

    def _confirmed(self, quantity: int) -> HoldConfirmed:
        request = self._request
        return HoldConfirmed(request.promotion_id, request.sku, request.number, quantity)

    def _found(self, parts: list[Part]) -> HoldConfirmed | HoldFailed | None:
        """A repeat finds its own hold, confirmed or begun; what another run left under the same refs is not
        that."""
        request = self._request
        planned, expires_at = sum(part.planned for part in parts), iso_time(request.expires_at_ms)
        theirs = next((part.expires_at for part in parts if part.expires_at not in ("", expires_at)), "")
        confirmed = bool(parts) and parts[0].confirmed
        if not theirs and not (confirmed and planned != request.quantity):
            return self._confirmed(planned) if confirmed else None
        return self._failed(
            Reason.CONFLICT,
            f"Another run holds {planned} units until {theirs or expires_at} under {self._stock.stem} in "
            f"Fluent; asked for were {request.quantity} until {expires_at}. Use a new promotion id.",
        )

    def _failed(self, reason: Reason, error: str) -> HoldFailed:
        request = self._request
        return HoldFailed(request.promotion_id, request.sku, request.number, reason.value, in_short(error))

    def _taken(self, part: Part) -> HoldFailed:
        owner = part.attributes.get("promotion_id") or "nobody known"
        return self._failed(
            Reason.CONFLICT,
            f"The ref {part.ref} in Fluent belongs to promotion {owner}, SKU {part.sku} "
            f"({part.type or 'hold'}), not to promotion {self._request.promotion_id}, "
            f"SKU {self._request.sku}.",
        )

    async def _short(self, parts: list[Part], free: dict[str, int], missing: int) -> HoldFailed | None:
        """A refusal is for good, and a look-up that lags may not show units that came, or came back, a moment
        ago, so it takes two looks.

        Raises HeldByAnother where another promotion is about to give back what is missing.
        """
        if not self._found_short:
            self._found_short = True
            await asyncio.sleep(self._pause_s)
            return None
        soon = await self._free_soon(free)
        if soon and total_free(free) + soon >= missing:
            raise HeldByAnother(f"{missing} are missing, {soon} are about to be given back")
        if parts:
            return await self._given_up(parts)
        return self._failed(Reason.INSUFFICIENT_INVENTORY, self._too_few(free))

    async def _free_soon(self, free: dict[str, int]) -> int:
        """Units that other promotions hold and are about to give back, for their time is over."""
        if not self._wait_s:
            return 0
        now_s = self._now_ms() / 1_000
        return sum(
            part.units
            for part in await self._stock.holds_at(free)
            if part.promotion not in ("", self._request.promotion_id)
            and part.expires_within(self._wait_s, now_s)
        )

    def _too_few(self, free: dict[str, int]) -> str:
        if not free:
            return f"Fluent has no ACTIVE position for SKU {self._request.sku}: is the SKU right?"
        return f"requested {self._request.quantity}, available {total_free(free)}"

    async def _given_up(self, parts: list[Part]) -> HoldFailed:
        """Nothing may stay held: ends what is live, and answers once a look shows it."""
        await self._end_all(parts)
        free = await self._stock.free()
        return self._failed(
            Reason.INSUFFICIENT_INVENTORY,
            f"{self._too_few(free)}; the hold was given up, nothing of it is held",
        )

    async def _refused(self, refusal: Refused) -> HoldFailed:
        await self._end_all(self._stock.ours(await self._stock.parts()))
        return self._failed(Reason.FLUENT_UNAVAILABLE, f"Fluent refuses to create the hold: {refusal}")

    async def _end_all(self, parts: list[Part]) -> None:
        await end_all(self._stock, parts, self._pause_s)
