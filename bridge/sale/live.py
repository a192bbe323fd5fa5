"""Server-sent events: each change is encoded once, and everybody who looks is sent the same bytes.

A viewer has no queue of its own. A channel keeps its last few events, and a viewer knows which of them it was
sent last; one that has fallen behind these is sent everything afresh. So what a viewer costs is one write of
bytes that exist already, and a slow one holds nothing up.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import suppress

from bridge.sale.sales import Sales
from bridge.sale.views import BEAT, CHANGE, SNAPSHOT, SalesEvent, event, head_of, sale_event
from schemas.topics import PROMOTION_RESULTS, RECONCILIATION_REPORTS
from streams.log import get_logger
from streams.system import now_ms

TICK_S = 1.0
"""Viewers get at most one event in this time."""

BEAT_TICKS = 15
"""After so many ticks without a change a sign of life is sent: proxies close what is silent for a minute."""

KEPT = 8
MAX_VIEWERS = 1_000
SPARE_VIEWERS = 100
"""So many of them only on the operations port, however many have a link and open it."""

log = get_logger("bridge")


class Channel:
    """The events of one page. `snapshot` makes the one with which a viewer begins."""

    def __init__(self, snapshot: Callable[[], bytes]) -> None:
        self.viewers = 0
        self.version = 0
        self._make_snapshot = snapshot
        self._snapshot: bytes | None = None
        self._recent: deque[bytes] = deque(maxlen=KEPT)
        self._news = asyncio.Event()
        self._silent_ticks = 0

    def publish(self, change: bytes) -> None:
        """Send everybody an event."""
        self.version += 1
        self._recent.append(change)
        self._snapshot = None
        self._silent_ticks = 0
        self.wake()

    def start_over(self) -> None:
        """What has changed is not known: everybody gets a snapshot next."""
        self.version += 1
        self._recent.clear()
        self._snapshot = None
        self.wake()

    def beat(self) -> None:
        """Nothing has changed but the time, which a snapshot tells; now and then viewers are told that."""
        self._snapshot = None
        self._silent_ticks += 1
        if self._silent_ticks >= BEAT_TICKS:
            self.publish(event(BEAT))

    def wake(self) -> None:
        """Let every viewer look for news."""
        self._news.set()
        self._news = asyncio.Event()

    async def wait(self, until_s: float | None) -> None:
        """Until there is news, or the time is `until_s` (Unix seconds)."""
        left_s = None if until_s is None else until_s - time.time()
        with suppress(TimeoutError):
            async with asyncio.timeout(left_s):
                await self._news.wait()

    def after(self, version: int | None) -> bytes:
        """What a viewer lacks that was sent `version` last, None: nothing yet. Empty: nothing is new."""
        lacking = len(self._recent) + 1 if version is None else self.version - version
        if lacking > len(self._recent):
            self._snapshot = self._snapshot or self._make_snapshot()
            return self._snapshot
        return b"".join(list(self._recent)[len(self._recent) - lacking :])


class Live:
    """Everybody who looks at a sale, or at the list of them. `why_still`: why figures do not move."""

    def __init__(self, sales: Sales, why_still: Callable[[], str], is_caught_up: Callable[[], bool]) -> None:
        self._sales = sales
        self._why_still = why_still
        self._is_caught_up = is_caught_up
        self._channels: dict[str | None, Channel] = {}
        self._stands_still = ""
        self._closed = False
        self.viewers = 0

    async def run(self) -> None:
        """Tick for ever."""
        while True:
            await asyncio.sleep(TICK_S)
            try:
                self.tick(now_ms())
            except Exception:
                log.exception("sale_page_failed", recommendation="none: everything is shown anew")
                for channel in self._channels.values():  # what changed in this second is told by nothing else
                    channel.start_over()

    def close(self) -> None:
        """Everybody's stream ends; browsers ask again by themselves."""
        self._closed = True
        for channel in self._channels.values():
            channel.wake()

    def has_room(self, spare: int = 0) -> bool:
        """Whether somebody more may look, and `spare` others after that."""
        return not self._closed and self.viewers + spare < MAX_VIEWERS

    def tick(self, at_ms: int) -> None:
        """Send what changed since the last tick; `at_ms` in Unix milliseconds."""
        self._settle(at_ms)
        faster = self._sales.tick()
        changed = {sale.id: skus for sale in self._sales if (skus := sale.changes()) is not None}
        gone = sorted(self._sales.gone)
        self._sales.gone.clear()
        stands_still = self._why_still()
        all_changed, self._stands_still = stands_still != self._stands_still, stands_still
        for promotion_id, channel in self._channels.items():
            if promotion_id is not None:
                is_news = promotion_id in changed or promotion_id in faster or all_changed
                news = self._changes(promotion_id, changed.get(promotion_id, set()), at_ms, is_news=is_news)
            elif all_changed:  # as when the topics' past is read: then nothing but everything is right
                news = self._snapshot(None)
            else:
                news = self._list_changes(changed, gone, at_ms)
            if news is None:
                channel.beat()
            else:
                channel.publish(news)

    async def watch(self, promotion_id: str | None, until_s: float | None) -> AsyncIterator[bytes]:
        """The events of a sale, None: of the list, until `until_s` (Unix seconds, None: for ever).

        Ask `has_room` before.
        """
        channel = self._enter(promotion_id)
        version: int | None = None
        try:
            while not self._closed and (until_s is None or time.time() < until_s):
                news, version = channel.after(version), channel.version
                if news:
                    yield news
                else:
                    await channel.wait(until_s)
        finally:
            self._leave(promotion_id, channel)

    def _enter(self, promotion_id: str | None) -> Channel:
        channel = self._channels.get(promotion_id)
        if channel is None:
            channel = self._channels[promotion_id] = Channel(lambda: self._snapshot(promotion_id))
        channel.viewers += 1
        self.viewers += 1
        return channel

    def _leave(self, promotion_id: str | None, channel: Channel) -> None:
        channel.viewers -= 1
        self.viewers -= 1
        if not channel.viewers:
            del self._channels[promotion_id]

    def _settle(self, at_ms: int) -> None:
        for failure in self._sales.settle(at_ms, is_caught_up=self._is_caught_up()):
            log.warning(
                "outcome_unreadable",
                topic=f"{PROMOTION_RESULTS} or {RECONCILIATION_REPORTS}",
                error=str(failure),
                recommendation="find out who else writes to this topic",
            )

    def _snapshot(self, promotion_id: str | None) -> bytes:
        at_ms, stands_still = now_ms(), self._why_still()
        if promotion_id is None:
            heads = [head_of(sale) for sale in self._sales] if self._is_caught_up() else []
            return event(SNAPSHOT, SalesEvent(at_ms, stands_still, heads, []))
        sale, rates = self._sales.sale(promotion_id), self._sales.rates(promotion_id)
        return event(SNAPSHOT, sale_event(sale, rates, None, at_ms, stands_still))

    def _list_changes(self, promotion_ids: Collection[str], gone: list[str], at_ms: int) -> bytes | None:
        if not promotion_ids and not gone:
            return None
        heads = [head_of(self._sales.sale(promotion_id)) for promotion_id in promotion_ids]
        return event(CHANGE, SalesEvent(at_ms, self._stands_still, heads, gone))

    def _changes(self, promotion_id: str, skus: set[str], at_ms: int, *, is_news: bool) -> bytes | None:
        sale, rates = self._sales.sale(promotion_id), self._sales.rates(promotion_id)
        if not is_news and not rates.has_changes:
            return None
        return event(CHANGE, sale_event(sale, rates, skus, at_ms, self._stands_still))
