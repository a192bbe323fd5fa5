"""Two hundred viewers cost no more than one: each change is encoded once, and nobody holds anybody up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import ANY

import msgspec
import pytest

from bridge.sale import live as live_module
from bridge.sale import views
from bridge.sale.live import BEAT_TICKS, KEPT, Live
from bridge.sale.sales import Sales
from schemas.topics import ORDER_OUTCOMES, SALE_FIGURES
from tests.bridge.sale.told import NOW_MS, arrival, figures, outcome

Viewer = AsyncIterator[bytes]


class World:
    """Sales, and who looks at them."""

    def __init__(self) -> None:
        self.sales = Sales()
        self.not_ready = ""
        self.caught_up = True
        self.live = Live(self.sales, lambda: self.not_ready, lambda: self.caught_up)
        self._at_ms = NOW_MS

    def tell(self, *skus: str, promotion: str = "P", **counts: int) -> None:
        """Figures of some SKUs."""
        self._at_ms += 1
        seconds = (self._at_ms - NOW_MS) / 1_000
        for sku in skus:
            value = figures(sku, promotion, "ACTIVE", seconds, **counts)
            self.sales.arrived(arrival(SALE_FIGURES, value))

    def tick(self) -> None:
        """A second is over."""
        self.live.tick(NOW_MS)

    @asynccontextmanager
    async def viewer(
        self, promotion: str | None = "P", until_s: float | None = None
    ) -> AsyncIterator[Viewer]:
        """Somebody who looks."""
        events = self.live.watch(promotion, until_s)
        try:
            yield events
        finally:
            await events.aclose()  # type: ignore[attr-defined]


@pytest.fixture
def world() -> World:
    return World()


def read(events: bytes) -> list[tuple[str, Any]]:
    """The names and contents of server-sent events."""
    found = []
    for event in events.decode().removesuffix("\n\n").split("\n\n"):
        name, data = event.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


async def next_of(viewer: Viewer) -> list[tuple[str, Any]]:
    return read(await asyncio.wait_for(anext(viewer), 10))


async def test_a_viewer_begins_with_everything_and_then_gets_what_changed(world: World) -> None:
    world.tell("A", "B")
    async with world.viewer() as viewer:
        [(name, content)] = await next_of(viewer)
        assert name == "snapshot" and [line["sku"] for line in content["lines"]] == ["A", "B"]
        world.tick()
        await next_of(viewer)
        world.tell("B", consumed=3)
        world.tick()
        [(name, content)] = await next_of(viewer)
    assert name == "change" and [line["sku"] for line in content["lines"]] == ["B"]
    assert content["sale"]["sums"]["consumed"] == 3 and content["sale"]["left"] == 17


async def test_two_hundred_viewers_get_the_same_bytes_which_are_encoded_once(
    world: World, encoded: list[bytes]
) -> None:
    world.tell("A")
    viewers = [world.live.watch("P", None) for _ in range(200)]
    first = [await anext(viewer) for viewer in viewers]
    world.tick()
    second = [await anext(viewer) for viewer in viewers]
    assert len(encoded) == 2 and len({id(events) for events in first}) == 1
    assert {bytes(events) for events in second} == {encoded[1]}
    for viewer in viewers:
        await viewer.aclose()  # type: ignore[attr-defined]


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """Every event that is made."""
    found: list[bytes] = []
    make = views.event

    def event(name: str, content: msgspec.Struct | None = None) -> bytes:
        found.append(make(name, content))
        return found[-1]

    monkeypatch.setattr(live_module, "event", event)
    yield found


async def test_where_nobody_looks_nothing_is_encoded_or_kept(world: World, encoded: list[bytes]) -> None:
    world.tell("A")
    world.tick()
    async with world.viewer() as viewer:
        await next_of(viewer)
    encoded.clear()
    world.tell("A", consumed=1)
    world.tick()
    assert not encoded and not world.live.viewers
    async with world.viewer() as viewer:
        [(name, content)] = await next_of(viewer)
    assert name == "snapshot" and content["lines"][0]["consumed"] == 1


async def test_a_viewer_that_was_slow_for_some_seconds_gets_what_it_missed_and_a_slower_one_everything(
    world: World,
) -> None:
    world.tell("A")
    async with world.viewer() as slow, world.viewer() as slower:
        await next_of(slow)
        await next_of(slower)
        for sold in range(KEPT):
            world.tell("A", consumed=sold)
            world.tick()
        assert [name for name, _ in await next_of(slow)] == ["change"] * KEPT
        world.tell("A", consumed=9)
        world.tick()
        [(name, content)] = await next_of(slower)
        assert name == "snapshot" and content["lines"][0]["consumed"] == 9


async def test_after_a_second_that_failed_everybody_is_shown_what_changed_in_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.tell("A")
    world.tick()
    reads, calls = world.live._changes, list[str]()

    def fails_once(*about: Any, **more: Any) -> bytes | None:
        calls.append("tick")
        if len(calls) == 1:
            raise RuntimeError("a defect")
        return reads(*about, **more)

    monkeypatch.setattr(live_module, "TICK_S", 0.001)
    async with world.viewer() as viewer:
        await next_of(viewer)
        world.tell("A", consumed=7)
        monkeypatch.setattr(world.live, "_changes", fails_once)
        running = asyncio.create_task(world.live.run())
        [(name, content), *_] = await next_of(viewer)
        running.cancel()
    assert name == "snapshot" and content["lines"][0]["consumed"] == 7


async def test_where_nothing_changes_nothing_is_sent_but_a_sign_of_life(world: World) -> None:
    world.tell("A")
    world.tick()
    async with world.viewer() as viewer:
        await next_of(viewer)
        for _ in range(BEAT_TICKS):
            world.tick()
        assert [name for name, _ in await next_of(viewer)] == ["beat"]


async def test_who_comes_later_gets_the_time_of_now_however_long_nothing_has_changed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser counts down by it."""
    world.tell("A")
    world.tick()
    async with world.viewer() as first:
        await next_of(first)
        world.tick()
        monkeypatch.setattr(live_module, "now_ms", lambda: 12_345)
        async with world.viewer() as second:
            [(name, content)] = await next_of(second)
    assert (name, content["now"]) == ("snapshot", 12_345)


async def test_the_speed_is_told_until_it_is_nothing_again(world: World) -> None:
    world.tell("A")
    world.tick()
    async with world.viewer() as viewer:
        await next_of(viewer)
        world.sales.arrived(arrival(ORDER_OUTCOMES, outcome("1", "EXHAUSTED")))
        for _ in range(KEPT):
            world.tick()
        told = [content["speed"] for _, content in await next_of(viewer)]
    assert told[0]["perSecond"] == 1 and told[0]["totals"] == {"EXHAUSTED": 1}
    assert len(told[0]["buckets"]) == 1 and not told[1]["buckets"]
    assert told[-1]["perSecond"] == 0


async def test_why_figures_stand_still_is_told_to_everybody_also_of_a_sale_that_is_not_known(
    world: World,
) -> None:
    async with world.viewer() as viewer, world.viewer(None) as front:
        [(_, content)] = await next_of(viewer)
        assert content["sale"]["status"] == "UNKNOWN" and not content["standsStill"]
        await next_of(front)
        world.not_ready = "Kafka does not answer"
        world.tick()
        for each in (viewer, front):
            assert (await next_of(each))[-1][1]["standsStill"] == "Kafka does not answer"


async def test_the_list_is_empty_until_the_topics_past_is_read_and_then_has_what_is_not_over(
    world: World,
) -> None:
    world.caught_up, world.not_ready = False, "The past is not read yet"
    world.tell("A")
    async with world.viewer(None) as front:
        assert (await next_of(front))[0][1] == {
            "now": ANY,
            "standsStill": "The past is not read yet",
            "sales": [],
            "gone": [],
        }
        world.tick()
        world.caught_up, world.not_ready = True, ""
        world.tick()
        name, content = (await next_of(front))[-1]
    assert name == "snapshot" and [sale["promotionId"] for sale in content["sales"]] == ["P"]


async def test_a_sale_that_starts_while_somebody_waits_for_it_appears(world: World) -> None:
    async with world.viewer("SOON") as viewer, world.viewer(None) as front:
        await next_of(viewer)
        await next_of(front)
        world.tell("A", promotion="SOON")
        world.tick()
        assert (await next_of(viewer))[-1][1]["lines"][0]["sku"] == "A"
        assert [sale["promotionId"] for sale in (await next_of(front))[-1][1]["sales"]] == ["SOON"]


async def test_streams_end_with_their_link_and_when_the_bridge_stops(world: World) -> None:
    async with world.viewer(until_s=0) as late:
        with pytest.raises(StopAsyncIteration):
            await anext(late)
    async with world.viewer() as viewer:
        await next_of(viewer)
        waiting = asyncio.ensure_future(anext(viewer))
        await asyncio.sleep(0)
        world.live.close()
        with pytest.raises(StopAsyncIteration):
            await asyncio.wait_for(waiting, 10)
    assert not world.live.has_room() and not world.live.viewers


async def test_only_so_many_may_look(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "MAX_VIEWERS", 1)
    before = world.live.has_room()
    async with world.viewer() as viewer:
        await next_of(viewer)
        assert (before, world.live.has_room()) == (True, False)


async def test_a_failure_in_one_second_leaves_the_next_to_try_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = []
    enough = asyncio.Event()

    def tick(at_ms: int) -> None:
        ticks.append(at_ms)
        if len(ticks) > 1:
            enough.set()
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr(world.live, "tick", tick)
    monkeypatch.setattr(live_module, "TICK_S", 0.001)
    running = asyncio.create_task(world.live.run())
    await asyncio.wait_for(enough.wait(), 10)
    running.cancel()
