"""The page over real HTTP, from a real broker: who may see it, what it is sent, and what survives."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from bridge.sale.links import link
from bridge.sale.pages import ASSETS
from schemas.topics import ORDER_OUTCOMES, PROMOTION_RESULTS, RECONCILIATION_REPORTS, SALE_FIGURES
from tests.bridge.decisions import Decider
from tests.bridge.process import CLIENT, SECRET, BridgeProcess
from tests.bridge.sale.told import figures, line, outcome, report, results
from tests.support.system import wait_until

PATIENCE_S = 30


@pytest.fixture(scope="module")
def operated(
    environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BridgeProcess]:
    """A bridge that wants signatures, with an operations port."""
    directory = tmp_path_factory.mktemp("sale")
    with BridgeProcess(environment, directory, "--operations-port", "0") as process:
        yield process.wait_ready()


def get(url: str, **headers: str) -> httpx.Response:
    return httpx.get(url, headers=headers, trust_env=False, timeout=PATIENCE_S)


class Stream:
    """Events as a browser reads them."""

    def __init__(self, response: httpx.Response) -> None:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        self._lines = response.iter_lines()

    def next(self) -> tuple[str, Any]:
        """Name and content of the next event."""
        name, data, _ = next(self._lines), next(self._lines), next(self._lines)
        return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))

    def until(self, condition: Any) -> Any:
        """The content of the first event for which `condition` is true."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            _, content = self.next()
            if condition(content):
                return content
        raise AssertionError("the event never came")


@contextmanager
def streaming(url: str) -> Iterator[Stream]:
    """Server-sent events of a page."""
    with httpx.Client(trust_env=False, timeout=PATIENCE_S) as client, client.stream("GET", url) as response:
        yield Stream(response)


def signed_link(promotion: str, seconds: float = 600) -> str:
    return link(promotion, CLIENT, SECRET, int(time.time() + seconds))


def test_the_operations_port_serves_the_pages_without_a_link(operated: BridgeProcess) -> None:
    for path in ("/sale", "/sale/FLASH-1"):
        page = get(operated.operations_url + path)
        assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    assert "FLASH-1" in page.text
    assert get(f"{operated.operations_url}/sale", Host="page.example").status_code == 403


def test_the_main_port_serves_a_page_by_a_signed_link_only(operated: BridgeProcess) -> None:
    assert get(operated.url + signed_link("FLASH-1")).status_code == 200
    with streaming(operated.url + signed_link("FLASH-1").replace("?", "/events?")) as events:
        assert events.next()[0] == "snapshot"
    over = signed_link("FLASH-1", seconds=-1)
    for path in ("/sale", "/sale-events", "/sale/FLASH-1", "/sale/FLASH-1/events", over):
        answer = get(operated.url + path)
        assert answer.status_code == 401 and "flashsale sign --page" in answer.json()["recommendation"]
    assert get(operated.url + signed_link("FLASH-2").replace("FLASH-2", "FLASH-1")).status_code == 401


def test_who_opens_a_link_that_is_over_in_a_browser_reads_what_to_do(operated: BridgeProcess) -> None:
    answer = get(operated.url + signed_link("FLASH-1", seconds=-1), Accept="text/html,*/*")
    assert answer.status_code == 401 and answer.headers["content-type"].startswith("text/html")
    assert "its time is over" in answer.text and "Ask for a new one" in answer.text


def test_a_stream_ends_when_its_link_does(operated: BridgeProcess) -> None:
    with (
        streaming(operated.url + signed_link("ENDS", 3).replace("?", "/events?")) as events,
        pytest.raises(StopIteration),
    ):
        while True:
            events.next()


def test_unsigned_bridges_serve_it_on_loopback_to_this_machine(
    environment: Mapping[str, str], tmp_path: Path
) -> None:
    with BridgeProcess(environment, tmp_path, "--unsigned") as process:
        assert get(f"{process.url}/sale").status_code == 200
        assert get(f"{process.url}/sale/P").status_code == 200
        assert get(f"{process.url}/sale", Host="page.example").status_code == 403


def test_pages_take_nothing_from_outside_and_nothing_inline(operated: BridgeProcess) -> None:
    for path in ("/sale", "/sale/FLASH-1", *(f"/sale-assets/{name}" for name in ASSETS)):
        answer = get(operated.operations_url + path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
        assert answer.headers["referrer-policy"] == "no-referrer"
        if answer.headers["content-type"].startswith("text/html"):
            assert re.findall(r"//|\sstyle=|<style|\son\w+=|<script(?![^>]* src=)", answer.text) == []


def test_a_promotions_id_is_text_on_the_page_whatever_it_contains(operated: BridgeProcess) -> None:
    page = get(f"{operated.operations_url}/sale/%3Cscript%3Ealert(1)%3C%2Fscript%3E%22$base").text
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)&lt;/script&gt;&quot;$base" in page


def test_an_id_with_slashes_is_one_id(operated: BridgeProcess, decider: Decider) -> None:
    decider.publish((SALE_FIGURES, figures("A", "AUTUMN/1/events", consumed=4), {}))
    page = get(f"{operated.operations_url}/sale/AUTUMN%2F1%2Fevents")
    assert "AUTUMN/1/events" in page.text and page.headers["content-type"].startswith("text/html")
    for path in ("AUTUMN%2F1%2Fevents", "AUTUMN/1/events"):
        with streaming(f"{operated.operations_url}/sale/{path}/events") as events:
            assert events.until(lambda content: content["lines"])["lines"][0]["consumed"] == 4


def test_assets_are_asked_for_again_only_when_they_changed(operated: BridgeProcess) -> None:
    first = get(f"{operated.url}/sale-assets/sale.js")
    again = get(f"{operated.url}/sale-assets/sale.js", **{"If-None-Match": first.headers["etag"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    for name in ("none.js", "..%2Fpages.py", "sale.html"):
        assert get(f"{operated.url}/sale-assets/{name}").status_code == 404


def test_the_stream_follows_what_is_committed_and_says_only_what_changed(
    operated: BridgeProcess, decider: Decider
) -> None:
    decider.publish((PROMOTION_RESULTS, results("A", "B", refused=["C"], promotion="FOLLOWED"), {}))
    with streaming(f"{operated.operations_url}/sale/FOLLOWED/events") as events:
        content = events.until(lambda content: content["sale"]["skus"] == 3)
        assert (content["sale"]["status"], content["sale"]["troubled"]) == ("ACTIVE", 1)
        decider.publish((SALE_FIGURES, figures("A", "FOLLOWED", consumed=9), {}), commit=False)
        decider.publish(
            (SALE_FIGURES, figures("B", "FOLLOWED", consumed=2), {}),
            (ORDER_OUTCOMES, outcome("1", promotion="FOLLOWED"), {}),
            (ORDER_OUTCOMES, outcome("2", "EXHAUSTED", promotion="FOLLOWED"), {}),
        )
        content = events.until(lambda content: content["sale"]["sums"]["consumed"])
        assert [(line["sku"], line["consumed"]) for line in content["lines"]] == [("B", 2)]
        assert content["speed"]["totals"] == {"": 1, "EXHAUSTED": 1}
        final = report(line("A", held=7), promotion="FOLLOWED", status="CLOSING", seconds=5)
        decider.publish((RECONCILIATION_REPORTS, final, {}))
        content = events.until(lambda content: content["fluent"]["held"])
        assert content["sale"]["reportKind"] == "INTERIM" and content["fluent"]["held"] == 7


def test_everything_is_there_again_after_a_restart(
    environment: Mapping[str, str], decider: Decider, tmp_path: Path
) -> None:
    decider.publish(
        (SALE_FIGURES, figures("A", "AGAIN", consumed=1), {}),
        (SALE_FIGURES, figures("A", "AGAIN", consumed=3, seconds=1), {}),
        (ORDER_OUTCOMES, outcome("1", promotion="AGAIN"), {}),
    )
    with BridgeProcess(environment, tmp_path, "--operations-port", "0") as process:
        process.wait_ready()
        with streaming(f"{process.operations_url}/sale/AGAIN/events") as events:
            content = events.until(lambda content: content["lines"])
            assert content["lines"][0]["consumed"] == 3 and content["speed"]["totals"] == {"": 1}
            process.process.terminate()
            with pytest.raises((StopIteration, httpx.TransportError)):
                while True:
                    events.next()
        assert process.process.wait(30) == 0


def test_the_list_names_every_sale_and_metrics_count_who_looks(
    operated: BridgeProcess, decider: Decider
) -> None:
    with streaming(f"{operated.operations_url}/sale-events") as events:
        decider.publish((SALE_FIGURES, figures("A", "LISTED", consumed=4), {}))

        def listed(content: Any) -> Any:
            return [sale for sale in content["sales"] if sale["promotionId"] == "LISTED"]

        [sale] = listed(events.until(listed))
        assert (sale["left"], sale["skus"]) == (6, 1)

        def viewers() -> bool:
            return "flashsale_bridge_viewers 1.0" in get(f"{operated.operations_url}/metrics").text

        wait_until(viewers, "a viewer is counted")


def test_head_of_a_stream_ends(operated: BridgeProcess) -> None:
    answer = httpx.head(f"{operated.operations_url}/sale/P/events", trust_env=False, timeout=PATIENCE_S)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/event-stream")


def test_sign_prints_a_link_that_the_bridge_takes(operated: BridgeProcess) -> None:
    secrets = {"BRIDGE_SECRETS": f"{CLIENT}:{SECRET}"}
    arguments = ["sign", "--page", "A/1 ü", "--hours", "1", "--url", operated.url]
    done = subprocess.run(
        [sys.executable, "-m", "flashsale.cli", *arguments],
        env={**os.environ, **secrets},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count("\n") == 1 and get(done.stdout.strip()).status_code == 200


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--page", "P", "GET", "/sale/P"], "leave METHOD and PATH out"),
        ([], "METHOD and PATH are missing"),
        (["--page", "P", "--hours", "0"], "--hours"),
    ],
)
def test_sign_says_what_a_link_lacks(arguments: list[str], sentence: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flashsale.cli", "sign", *arguments],
        env={**os.environ, "BRIDGE_SECRETS": "a:b"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and sentence in done.stderr and not done.stdout
