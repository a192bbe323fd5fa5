"""Verifying many open reservations at once: one request reads a hundred of them.

It sorts out what agrees, and decides nothing else. What differs, what a page cannot show in full, and what
differed before is looked at by itself (`fluent.verify`), where bad news is believed only at a second look.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fluent import profile as names
from fluent.client import FluentClient
from fluent.parts import WINDOW, Part, part_ref, sale_ref
from fluent.profile import Profile
from fluent.reading import Reading, readable
from streams.ledger.fluent_requests import VerifyRequest

LINES_A_READ = 100
RECORDS_A_READ = 100
READS_A_PAGE = 40
"""Twice what our own refs can be. One SKU with many holds of others, which some profiles list, must not keep
those of its page from being compared: they are then looked at one by one."""
SALES = 2
"""Bookings of a reservation that are looked for; one that has as many is looked at by itself."""


async def doubtful(
    client: FluentClient, profile: Profile, lines: Sequence[VerifyRequest], deadline: float
) -> list[VerifyRequest]:
    """The lines that have to be verified by themselves: all of them where the profile has no `holds`.

    Raises FluentError where Fluent cannot be read.
    """
    if not profile.has(names.HOLDS):
        return list(lines)
    found: list[VerifyRequest] = []
    for first in range(0, len(lines), LINES_A_READ):
        found += await _Page(client, profile, deadline, lines[first : first + LINES_A_READ]).doubtful()
    return found


class _Page(Reading):
    """What Fluent has of some lines: their own refs, and other live holds where those are."""

    def __init__(
        self, client: FluentClient, profile: Profile, deadline: float, lines: Sequence[VerifyRequest]
    ) -> None:
        super().__init__(client, profile, deadline)
        self._lines = lines
        self._parts: dict[str, dict[str, Part]] = defaultdict(dict)
        """By SKU and ref."""
        self._crowded: set[str] = set()
        """SKUs with more holds at a position than a page shows."""

    @readable
    async def doubtful(self) -> list[VerifyRequest]:
        refs = [ref for line in self._lines for ref in _refs(line)]
        skus = list(dict.fromkeys(line.sku for line in self._lines))
        rows = await self.pages(names.HOLDS, READS_A_PAGE, refs=refs, skus=skus, first=RECORDS_A_READ)
        for row in rows:
            self._take(row)
        return [line for line in self._lines if line.differed or not self._agrees(line)]

    def _take(self, row: Mapping[str, Any]) -> None:
        part = self.part(row)
        self._parts[part.sku][part.ref] = part
        for other in row.get("others") or ():
            self._parts[part.sku].setdefault(other["ref"], self.part({"sku": part.sku, **other}))
        if row.get("more"):
            self._crowded.add(part.sku)

    def _agrees(self, line: VerifyRequest) -> bool:
        there = self._parts[line.sku].values()
        ours = [part for part in there if part.ref.startswith(line.reservation_ref + "-")]
        holds = _of(line, ours, self.profile.hold_type)
        if len(holds) >= WINDOW or line.sku in self._crowded or self._has_foreign(line):
            return False
        held = sum(part.units for part in holds if part.live)
        return held == line.held and self._sales_agree(line, ours)

    def _has_foreign(self, line: VerifyRequest) -> bool:
        """Whether there is a hold for this promotion under a ref that is not ours."""
        return any(
            part.live
            and part.promotion == line.promotion_id
            and not part.ref.startswith(line.reservation_ref + "-")
            for part in self._parts[line.sku].values()
        )

    def _sales_agree(self, line: VerifyRequest, ours: Iterable[Part]) -> bool:
        if not line.book_sale or not self.profile.books_sales:
            return True
        sales = _of(line, ours, self.profile.sale_type)
        return len(sales) < SALES and sum(sale.units for sale in sales) == line.consumed


def _of(line: VerifyRequest, parts: Iterable[Part], kind: str) -> list[Part]:
    return [part for part in parts if part.is_of(line.promotion_id, line.sku, kind)]


def _refs(line: VerifyRequest) -> list[str]:
    stem, sales = line.reservation_ref, SALES if line.book_sale else 0
    holds = [part_ref(stem, number) for number in range(1, WINDOW + 1)]
    return holds + [sale_ref(stem, number) for number in range(1, sales + 1)]
