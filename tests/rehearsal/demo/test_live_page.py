"""What the demo says and does about the sale's live page."""

from __future__ import annotations

import io
import time
import webbrowser

import pytest
from rich.console import Console

from rehearsal.demo.course import STAY_S, LivePage
from rehearsal.demo.display import Progress

URL = "http://127.0.0.1:1/sale"


@pytest.mark.parametrize("opens", [True, False])
def test_it_is_opened_where_that_was_asked_for_and_its_address_is_said(
    monkeypatch: pytest.MonkeyPatch, opens: bool
) -> None:
    opened: list[str] = []

    def open_url(url: str) -> bool:
        opened.append(url)
        return opens

    monkeypatch.setattr(webbrowser, "open", open_url)
    said = io.StringIO()
    progress = Progress(Console(file=said, soft_wrap=True))
    LivePage(progress, open_page=False, stay=False).show(URL)
    assert URL in said.getvalue() and not opened
    LivePage(progress, open_page=True, stay=False).show(URL)
    assert opened == [URL] and ("open the page yourself" in said.getvalue()) is not opens


def test_it_stays_where_that_was_asked_for_until_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    progress = Progress(Console(file=io.StringIO()))
    LivePage(progress, open_page=False, stay=False).keep()
    assert not waited
    LivePage(progress, open_page=False, stay=True).keep()
    assert waited == [STAY_S]
