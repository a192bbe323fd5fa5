"""The stock of one request's SKU, in our words: a profile's operations with typed results.

Writes are sent side by side, and all of them are over, one way or the other, before the first error is
raised: nothing of an old plan can be sent while a new one is made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any

from fluent import profile as names
from fluent.client import FluentClient
from fluent.errors import NotFound, NotSettled, UnreadableAnswer
from fluent.parts import (
    WINDOW,
    Attributes,
    Part,
    by_number,
    part_ref,
    sale_ref,
)
from fluent.profile import Profile
from fluent.reading import MAX_PAGES, Reading, listed, readable, text, whole


class Stock(Reading):
    """What one reservation has, and what is free for it."""

    def __init__(
        self,
        client: FluentClient,
        profile: Profile,
        promotion_id: str,
        sku: str,
        stem: str,
        deadline: float,
        trace: str = "",
    ) -> None:
        super().__init__(client, profile, deadline, trace, sku=sku)
        self.promotion_id = promotion_id
        self.sku = sku
        self.stem = stem
        self.began_at = client.clock()
        """Since when its request is worked on: whatever a former one wrote was written before that."""

    def lag_s(self, pause_s: float) -> float:
        """For how long a look-up may still show what was there before a former request's last write, where
        reads lag by `pause_s` at most."""
        return max(0.0, self.began_at + pause_s - self._client.clock())

    # --- reading ----------------------------------------------------------------------------------

    async def parts(self) -> list[Part]:
        """Everything under the refs of the hold, in order of n, whoever it belongs to."""
        return await self._numbered(part_ref)

    async def sales(self) -> list[Part]:
        """Everything under the refs of the SALE bookings, in order of n."""
        return await self._numbered(sale_ref)

    def ours(self, parts: Iterable[Part]) -> list[Part]:
        """The parts that belong to this reservation."""
        return [part for part in parts if part.is_of(self.promotion_id, self.sku, self.profile.hold_type)]

    def our_sales(self, sales: Iterable[Part]) -> list[Part]:
        """The SALE bookings that belong to this reservation."""
        return [sale for sale in sales if sale.is_of(self.promotion_id, self.sku, self.profile.sale_type)]

    @readable
    async def _numbered(self, ref: Any) -> list[Part]:
        found: list[Part] = []
        for first in range(1, MAX_PAGES * WINDOW, WINDOW):
            refs = [ref(self.stem, number) for number in range(first, first + WINDOW)]
            rows = listed(await self.read(names.FIND_PARTS, refs=refs, first=WINDOW))
            found += [_asked(self.part(_whole(row)), refs) for row in rows]
            if len({part.ref for part in found}) < len(found):
                raise LookupError("a ref is there twice")
            if len(rows) < WINDOW:
                break
        return by_number(found)

    @readable
    async def free(self) -> dict[str, int]:
        """What is free at each of the SKU's positions, by their refs; below zero where it is owed."""
        rows = await self.pages(names.POSITIONS)
        positions = sorted({str(row.get("position") or "") for row in rows})
        if self.profile.has(names.AVAILABLE):
            sums = await asyncio.gather(*(self.free_at(position) for position in positions))
            return dict(zip(positions, sums, strict=True))
        free = dict.fromkeys(positions, 0)
        for row in rows:
            free[str(row.get("position") or "")] += whole(row.get("units"))
        for row in await self.pages(names.HELD_ROWS):
            position = str(row.get("position") or "")
            free[position] = free.get(position, 0) - whole(row.get("units"))
        return dict(sorted(free.items()))

    @readable
    async def free_at(self, position: str) -> int:
        """What is free at one position; below zero where more was promised than is there."""
        return whole(await self.read(names.AVAILABLE, position=position))

    @readable
    async def check(self, part: Part) -> tuple[Part | None, int]:
        """The part as it is now, and what is free at its position, of the same moment."""
        answer = await self.read(names.CHECK_PART, ref=part.ref, position=part.position)
        row = answer["part"]
        seen = None if row is None else _asked(self.part({"position": part.position, **row}), [part.ref])
        if seen is not None and seen.live and answer["available"] is None:
            raise TypeError(f"nothing is said of the position of {part.ref}, though the part is there")
        return seen, whole(answer["available"])

    @readable
    async def holds_at(self, positions: Iterable[str]) -> list[Part]:
        """Live holds at these positions, whoever made them; none where the profile does not show them."""
        if not (self.profile.has(names.POSITION_HOLDS) or self.profile.has(names.HELD_ROWS)):
            return []
        name = names.POSITION_HOLDS if self.profile.has(names.POSITION_HOLDS) else names.HELD_ROWS
        found: dict[str, Part] = {}
        for position in positions if name == names.POSITION_HOLDS else [""]:
            for row in await self.pages(name, position=position):
                part = self.part({"position": position, **row, "status": next(iter(self.profile.live))})
                found[part.ref] = part
        return list(found.values())

    async def foreign_holds(self, positions: Iterable[str]) -> list[Part]:
        """Live holds at these positions that carry this promotion's id under refs that are not ours."""
        return [
            part
            for part in await self.holds_at(positions)
            if part.promotion == self.promotion_id and not part.ref.startswith(self.stem + "-")
        ]

    # --- writing ----------------------------------------------------------------------------------

    async def create(self, part: Part, attributes: Attributes) -> None:
        """Raises Duplicate where the ref is taken."""
        await self._write(
            names.CREATE_PART,
            ref=part.ref,
            position=part.position,
            quantity=self.profile.sign * part.units,
            attributes=attributes,
        )

    async def resize(self, part: Part, units: int) -> None:
        """Sets what the part holds; its status stays what it is, whatever that is by then."""
        answer = await self._change(names.RESIZE_PART, ref=part.ref, quantity=self.profile.sign * units)
        if answer.get("quantity") is not None and whole(answer["quantity"]) != self.profile.sign * units:
            raise UnreadableAnswer(f"{part.ref} has {answer['quantity']} after it was set to {units} units")

    async def replan(self, part: Part, units: int, attributes: Attributes) -> None:
        """Sets what a part of an unconfirmed hold holds, and what its plan gives it."""
        await self._change(
            names.REPLAN_PART, ref=part.ref, quantity=self.profile.sign * units, attributes=attributes
        )

    async def confirm(self, part: Part, attributes: Attributes) -> None:
        """Marks the hold as confirmed. Raises NotSettled where the part has ended meanwhile."""
        answer = await self._change(names.CONFIRM_PART, ref=part.ref, attributes=attributes)
        if answer.get("status") in self.profile.ended:
            raise NotSettled(f"{part.ref} had ended when the hold was confirmed")

    async def end(self, part: Part) -> None:
        """Ends a part for good."""
        await self._change(names.END_PART, ref=part.ref)

    async def create_sale(self, number: int, position: str, units: int, attributes: Attributes) -> None:
        """Books sold units at a position. Raises Duplicate where the ref is taken."""
        await self._write(
            names.CREATE_SALE,
            ref=sale_ref(self.stem, number),
            position=position,
            quantity=self.profile.sign * units,
            attributes=attributes,
        )

    async def update_sale(self, sale: Part, units: int) -> None:
        """Sets what a booking takes."""
        await self._change(names.UPDATE_SALE, ref=sale.ref, quantity=self.profile.sign * units)

    async def activate_sale(self, sale: Part) -> None:
        """Makes a booking count everywhere, where no workflow does."""
        await self._change(names.ACTIVATE_SALE, ref=sale.ref)

    async def _change(self, name: str, **values: Any) -> Mapping[str, Any]:
        """Writes to what was read a moment ago. NotSettled where it is not found: one of both lags."""
        try:
            return await self._write(name, **values)
        except NotFound as missing:
            raise NotSettled(f"{values['ref']} was read, and then not found: {missing}") from missing

    @readable
    async def _write(self, name: str, **values: Any) -> Mapping[str, Any]:
        answer = await self.read(name, **values)
        if not isinstance(answer, Mapping):
            raise UnreadableAnswer(f"{name} of {values['ref']} answers nothing")
        if answer.get("ref", values["ref"]) != values["ref"]:
            raise UnreadableAnswer(f"{name} of {values['ref']} answers for {answer['ref']!r:.100}")
        return answer


def _whole(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record, if all of it is shown: whatever stands under our refs has a place and a quantity."""
    text(row["position"])
    if row["quantity"] is None:
        raise TypeError(f"{row['ref']!r:.100} without its quantity")
    return row


def _asked(part: Part, refs: Sequence[str]) -> Part:
    """The part, if it is one that was asked for: somebody else's answer says nothing about ours."""
    if part.ref not in refs:
        raise LookupError(f"{part.ref:.100} was not asked for")
    return part


async def all_over(writes: Sequence[Awaitable[None]]) -> None:
    """Runs writes side by side; raises the first error when all of them are over."""
    results = await asyncio.gather(*writes, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def end_all(stock: Stock, parts: list[Part], pause_s: float) -> None:
    """Ends our live parts until a read-back shows none. Raises NotSettled, or what the writes raise."""
    for attempt in range(4):
        live = [part for part in by_number(parts) if part.live]
        if not live:
            return
        if attempt > 1:
            await asyncio.sleep(pause_s)
        await all_over([stock.end(part) for part in live])
        parts = stock.ours(await stock.parts())
    if any(part.live for part in parts):
        raise NotSettled(f"parts of {stock.stem} are still live after they were ended")
