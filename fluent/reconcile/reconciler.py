"""Reconciliation on request: every hold of a promotion in Fluent beside what should be held, and its repair.

The ledger's own verifies compare a hold at a time and change nothing that is open. This looks at a whole
promotion, at every ACTIVE position of its SKUs, and repairs where a person has said so. It does not own what
it writes: a worker may settle the same hold meanwhile, so everything is read again after the writes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fluent.client import FluentClient
from fluent.errors import FluentError
from fluent.gateway import Gateway
from fluent.parts import Part
from fluent.profile import HELD_ROWS, POSITION_HOLDS, Profile
from fluent.reconcile.expected import Expectation
from fluent.reconcile.findings import Finding, Plan, Seen, findings, plan_repair
from fluent.settle import book_sales, sold_units
from fluent.stock import Stock, all_over

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 200
"""SKUs that are looked at side by side: enough to fill batches, few enough for flat memory."""

MAX_LOOKS = 4
"""A SKU that keeps changing is reported as it was seen last."""

TRIES = 3
"""Of a repair whose writes were not all answered."""

NO_REF = "\0"
"""A stem that no ref begins with: every hold of the promotion is then one under another ref."""

Figures = Callable[[], Awaitable[Sequence[Expectation]]]
"""What should be held, as it is known now."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One SKU: what should be held, what is seen, and every difference."""

    expected: Expectation
    seen: Seen
    findings: tuple[Finding, ...] = ()

    @property
    def drifting(self) -> bool:
        """Whether Fluent differs."""
        return bool(self.findings)


@dataclass(frozen=True, slots=True)
class Mutation:
    """One write as it goes to Fluent: the operation of the profile's document, and its variables."""

    sku: str
    operation: str
    variables: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Repair:
    """Writes for one SKU: sent, or only noted in a dry run. `problems` say what is left undone and why."""

    sku: str
    mutations: tuple[Mutation, ...]
    problems: tuple[str, ...] = ()


class Reconciler:
    """One promotion. `figures` is asked again whenever a difference is looked at again."""

    def __init__(self, gateway: Gateway, promotion_id: str, figures: Figures) -> None:
        self._gateway = gateway
        self._promotion_id = promotion_id
        self._figures = figures
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def compare(self) -> list[Compared]:
        """Every SKU, in the order of the figures. Raises FluentError when Fluent cannot tell.

        A difference counts when a later look with the same figures shows it again: reads may lag, and
        a worker may just be writing.
        """
        found = {each.expected.sku: each for each in await self._look_at(await self._figures())}
        unsettled = {sku: each for sku, each in found.items() if each.drifting}
        for _ in range(MAX_LOOKS - 1):
            if not unsettled:
                break
            await asyncio.sleep(self._pause_s(unsettled.values()))
            again = [expected for expected in await self._figures() if expected.sku in unsettled]
            looks = {each.expected.sku: each for each in await self._look_at(again)}
            found |= looks
            unsettled = {
                sku: each
                for sku, each in looks.items()
                if each.drifting and each.expected.number != unsettled[sku].expected.number
            }
        return list(found.values())

    async def preview(self, compared: Iterable[Compared]) -> list[Repair]:
        """The writes that `repair` would send, as Fluent stands now. Sends none."""
        return await self._for_each(self._preview, [each for each in compared if each.drifting])

    async def repair(self, compared: Iterable[Compared]) -> list[Repair]:
        """Sends them. Compare again afterwards: only that shows what has come of it."""
        return await self._for_each(self._repair, [each for each in compared if each.drifting])

    def _pause_s(self, differing: Iterable[Compared]) -> float:
        """Until a lag is over, and until a request that was under way would have been done or timed out."""
        options = self._gateway.options
        since_s = time.time() - max(each.expected.asked_at_ms for each in differing) / 1_000
        under_way_s = options.call_timeout_s - since_s
        return max(options.read_back_pause_s, min(options.call_timeout_s, under_way_s))

    # --- looking ------------------------------------------------------------------------------------

    async def _look_at(self, expected: Iterable[Expectation]) -> list[Compared]:
        return await self._for_each(self._compared, list(expected))

    async def _for_each(self, work: Callable[[T], Awaitable[R]], items: Sequence[T]) -> list[R]:
        async def one(item: T) -> R:
            async with self._slots:
                return await work(item)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(item)) for item in items]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _compared(self, expected: Expectation) -> Compared:
        seen = await self._seen(expected)
        return Compared(expected, seen, tuple(findings(expected, seen)))

    async def _seen(self, expected: Expectation) -> Seen:
        stock = self._stock(expected.sku, expected.ref)
        free, parts = await asyncio.gather(stock.free(), stock.parts())
        ours = stock.ours(parts)
        positions = sorted({*free, *(part.position for part in parts)})
        marked = await self._marked(expected.sku, positions)
        refs = {part.ref for part in parts}
        books = expected.sold is not None and stock.profile.books_sales
        return Seen(
            parts=ours,
            taken=[part for part in parts if part not in ours],
            others=sorted((part for part in marked if part.ref not in refs), key=lambda part: part.ref),
            free=free,
            sold=await sold_units(stock) if books else None,
        )

    async def _marked(self, sku: str, positions: list[str]) -> list[Part]:
        """Live holds that carry the promotion's id, under whatever ref; a profile need not show them."""
        profile = self._gateway.profile
        if not (profile.has(POSITION_HOLDS) or profile.has(HELD_ROWS)):
            return []
        return await self._stock(sku, NO_REF).foreign_holds(positions)

    def _stock(self, sku: str, stem: str) -> Stock:
        return self._gateway.stock(self._promotion_id, sku, stem)

    # --- repairing ----------------------------------------------------------------------------------

    async def _preview(self, compared: Compared) -> Repair:
        record = Record(dry=True)
        plan = plan_repair(compared.expected, compared.seen)
        await self._carry_out(plan, compared, record)
        return Repair(compared.expected.sku, tuple(record.mutations), tuple(plan.obstacles))

    async def _repair(self, compared: Compared) -> Repair:
        """Looks, and writes what that look asks for; again where an answer was lost."""
        record = Record(dry=False)
        problem = ""
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(self._gateway.options.read_back_pause_s)
            try:
                now = await self._compared(compared.expected)
                plan = plan_repair(now.expected, now.seen)
                await self._carry_out(plan, now, record)
                return Repair(now.expected.sku, tuple(record.mutations), tuple(plan.obstacles))
            except FluentError as error:
                problem = f"Fluent did not do it: {error}"
        return Repair(compared.expected.sku, tuple(record.mutations), (problem,))

    async def _carry_out(self, plan: Plan, compared: Compared, record: Record) -> None:
        expected = compared.expected
        gateway = self._gateway
        stock = RecordingStock(
            gateway.client, gateway.profile, self._promotion_id, expected.sku, expected.ref, record
        )
        await carry_out(plan, compared.seen, stock, gateway.options.read_back_pause_s)


class Recorded(Exception):
    """Instead of a write that is not to be sent."""


@dataclass(slots=True)
class Record:
    """Mutations in the order in which they are sent; with `dry` none is."""

    dry: bool
    mutations: list[Mutation] = field(default_factory=list)


class RecordingStock(Stock):
    """A Stock that notes each write. In a dry run it raises `Recorded` instead of sending it."""

    def __init__(
        self, client: FluentClient, profile: Profile, promotion_id: str, sku: str, stem: str, record: Record
    ) -> None:
        super().__init__(client, profile, promotion_id, sku, stem, float("inf"))
        self._record = record

    async def _write(self, name: str, **values: Any) -> Mapping[str, Any]:
        mapped = self.profile.operations[name]
        variables = mapped.bind(self._fixed | values)
        self._record.mutations.append(Mutation(self.sku, mapped.operation.name, variables))
        if self._record.dry:
            raise Recorded
        return await super()._write(name, **values)


async def carry_out(plan: Plan, seen: Seen, stock: RecordingStock, pause_s: float) -> None:
    """Sends (or only notes) the writes. Raises what they raise; the later steps are then left out."""
    grows = [write for write in plan.resizes if write.units > write.part.units]
    shrinks = [write for write in plan.resizes if write.units <= write.part.units]
    if plan.sold is not None:
        await _noted([book_sales(stock, list(seen.parts), plan.sold, pause_s)])
    await _noted([stock.create(write.part, write.attributes) for write in plan.creates])
    await _noted([stock.resize(write.part, write.units) for write in grows])
    await _noted([stock.resize(write.part, write.units) for write in shrinks])
    await _noted([stock.end(part) for part in plan.ends])


async def _noted(writes: Sequence[Awaitable[None]]) -> None:
    try:
        await all_over(writes)
    except Recorded:
        return
