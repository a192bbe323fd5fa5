"""Which paths are those of a page, and for whom there is room."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.types import Message

from bridge.problems import HANDLERS
from bridge.sale import live as live_module
from bridge.sale.live import Live
from bridge.sale.pages import Pages, anybody
from bridge.sale.sales import Sales


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/sale/P", 200),
        ("/sale/A%2FB", 200),
        ("/%73ale/P", 404),
        ("/sale%2FP", 404),
        ("/sale%2FP/events", 404),
    ],
)
async def test_a_path_that_only_decodes_to_a_pages_is_no_page(path: str, status: int) -> None:
    live = Live(Sales(), lambda: "", lambda: True)
    app = Starlette(routes=Pages(live, anybody).routes(), exception_handlers=HANDLERS)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://bridge") as client:
        assert (await client.get(path)).status_code == status


async def test_however_many_have_links_there_is_room_on_the_operations_port(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_module, "MAX_VIEWERS", 3)
    live = Live(Sales(), lambda: "", lambda: True)
    viewer = live.watch("P", None)
    await anext(viewer)
    statuses = []
    for spare in (0, 2):
        app = Starlette(routes=Pages(live, anybody, spare).routes(), exception_handlers=HANDLERS)
        statuses.append(await status_of_events(app))
    await viewer.aclose()  # type: ignore[attr-defined]
    assert statuses == [200, 503]


async def status_of_events(app: Starlette) -> int:
    """The status of a stream, which is not read."""
    statuses: asyncio.Queue[int] = asyncio.Queue()

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.put_nowait(message["status"])

    path = "/sale/P/events"
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "headers": []}
    serving = asyncio.create_task(app({**scope, "query_string": b""}, receive, send))
    try:
        return await asyncio.wait_for(statuses.get(), 10)
    finally:
        serving.cancel()
        await asyncio.wait({serving})
