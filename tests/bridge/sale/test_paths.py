"""Which paths are those of a page."""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette

from bridge.problems import HANDLERS
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
