"""The page in a real Chromium: its numbers move, it can be sorted, searched and read by everybody."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from bridge.sale.links import link
from schemas.topics import ORDER_OUTCOMES, PROMOTION_RESULTS, RECONCILIATION_REPORTS, SALE_FIGURES
from tests.bridge.decisions import Decider, Record
from tests.bridge.process import CLIENT, SECRET, BridgeProcess
from tests.bridge.sale.told import figures, line, outcome, report, results
from tests.support.browser import DESKTOP, PHONE, Browser, chromium
from tests.support.system import wait_until

pytestmark = pytest.mark.slow

MANY = [f"SKU-{number:04}" for number in range(1_000)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests here."""
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def served(
    browser: Browser, environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BridgeProcess]:
    """A bridge with an operations port; none without a browser."""
    directory = tmp_path_factory.mktemp("browser")
    with BridgeProcess(environment, directory, "--operations-port", "0") as process:
        yield process.wait_ready()


@pytest.fixture
def page(browser: Browser) -> Iterator[Browser]:
    """A page of the test's own. Its console must stay empty but for streams that ended."""
    browser.open("about:blank")
    browser.looks()
    browser.errors()
    yield browser
    assert [each for each in browser.errors() if "events" not in each.partition(" - ")[0]] == []


def publish_troubled(decider: Decider, promotion: str) -> None:
    """A sale with a SKU that was refused, one that differs in Fluent, one that is sold out."""
    drift = {"driftKind": "WRONG_QUANTITY", "driftAction": "Find out who writes."}
    lines = [line("B", 7, 3, consumed=2, **drift), line("A", consumed=10), line("D")]
    decider.publish(
        (PROMOTION_RESULTS, results("A", "B", "D", refused=["C"], promotion=promotion), {}),
        (SALE_FIGURES, figures("A", promotion, consumed=10, rejectedUnits=5, rejectedOrders=4), {}),
        (SALE_FIGURES, figures("B", promotion, consumed=2), {}),
        (RECONCILIATION_REPORTS, report(*lines, promotion=promotion), {}),
        *((ORDER_OUTCOMES, outcome(str(number), promotion=promotion), {}) for number in range(6)),
        (ORDER_OUTCOMES, outcome("7", "EXHAUSTED", promotion=promotion), {}),
    )


def test_a_sale_that_nothing_closes_is_said_to_need_a_person(
    page: Browser, served: BridgeProcess, decider: Decider
) -> None:
    decider.publish((SALE_FIGURES, figures("A", "LATE") | {"expiresAt": "2026-01-01T00:00:00.000Z"}, {}))
    page.open(f"{served.operations_url}/sale/LATE")
    page.wait_for("#attention-title", "This sale needs a person")
    assert "nothing closes it" in page.text("#problems") and page.text("#figuresAt") != "not yet"
    page.open(f"{served.operations_url}/sale")
    page.wait_for("tr.problem .state", "on sale. It needs a person")


def test_it_waits_for_a_sale_shows_it_and_moves_with_it(
    page: Browser, served: BridgeProcess, decider: Decider
) -> None:
    page.open(f"{served.operations_url}/sale/MOVES")
    page.wait_for("#status", "not known yet")
    decider.publish((SALE_FIGURES, figures("A", "MOVES", consumed=2), {}))
    page.wait_for("#consumed", "2")
    assert (page.text("#left"), page.text("#reserved"), page.text("#status")) == ("8", "10", "on sale")
    page.run("document.querySelector('#rows tr').dataset.mark = 'kept'")
    decider.publish((SALE_FIGURES, figures("A", "MOVES", consumed=3, seconds=1), {}))
    page.wait_for("#consumed", "3")
    assert page.rows()["A"][:4] == ["7", "3", "on sale", "10"]
    assert page.run("return document.querySelector('#rows tr').dataset.mark") == "kept"
    assert page.run("return document.title").startswith("MOVES · 7 left")


def test_what_needs_a_person_stands_first_with_its_remedy(
    page: Browser, served: BridgeProcess, decider: Decider
) -> None:
    publish_troubled(decider, "TROUBLED")
    page.open(f"{served.operations_url}/sale/TROUBLED")
    page.wait_for("#attention-title", "2 SKUs need a person")
    first, second = page.texts("#problems li")
    assert "B: Fluent differs by 3 units" in first and "Find out who writes." in first
    assert "C: Not set aside, INSUFFICIENT_INVENTORY: 4 are available" in second
    assert list(page.rows()) == ["B", "C", "D", "A"]
    assert page.rows()["A"][2] == "sold out" and page.text("#fluent-state") == "needs a person"
    assert page.texts("#reasons tr")[1] == "EXHAUSTED114 %"
    assert page.run("return document.title").startswith("(2!) TROUBLED")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing_that_somebody_could_not_use(
    page: Browser, served: BridgeProcess, decider: Decider, dark: bool, size: tuple[int, int]
) -> None:
    publish_troubled(decider, "ACCESSIBLE")
    page.looks(dark=dark, size=size)
    page.open(f"{served.operations_url}/sale/ACCESSIBLE")
    page.wait_for("#attention-title", "2 SKUs need a person")
    page.run("document.querySelector('#numbers').open = true")
    assert page.violations() == []
    assert page.run("return document.documentElement.scrollWidth <= innerWidth")
    page.open(f"{served.operations_url}/sale")
    page.wait_for("#connection", "Live")
    assert page.violations() == []
    assert page.run("return document.documentElement.scrollWidth <= innerWidth")


def test_a_thousand_skus_can_be_sorted_and_searched_by_keyboard(
    page: Browser, served: BridgeProcess, decider: Decider
) -> None:
    every: list[Record] = [
        (SALE_FIGURES, figures(sku, "MANY", consumed=number % 10), {}) for number, sku in enumerate(MANY)
    ]
    decider.publish(*every)
    page.open(f"{served.operations_url}/sale/MANY")
    page.wait_for("#shown", "1,000 of 1,000 SKUs")
    assert next(iter(page.rows())) == "SKU-0009"

    page.run("document.querySelector('[data-by=sku]').focus()")
    page.press("\ue007")
    assert list(page.rows()) == MANY and page.text("[aria-sort=ascending]") == "SKU"
    page.press("\ue007")
    assert list(page.rows()) == MANY[::-1] and page.text("[aria-sort=descending]") == "SKU"

    page.run("document.querySelector('#find').focus()")
    page.press("042")
    assert set(page.rows()) == {"SKU-0042", *(f"SKU-042{digit}" for digit in range(10))}
    assert page.text("#shown") == "11 of 1,000 SKUs"

    decider.publish((SALE_FIGURES, figures("SKU-0421", "MANY", consumed=10, seconds=5), {}))
    wait_until(lambda: page.rows()["SKU-0421"][2] == "sold out", "the row has changed")
    page.run("document.querySelector('#show').value = 'sold-out'")
    page.run("document.querySelector('#show').dispatchEvent(new Event('change'))")
    assert list(page.rows()) == ["SKU-0421"]


def test_everything_that_acts_is_reached_by_the_tab_key_and_shows_it(
    page: Browser, served: BridgeProcess, decider: Decider
) -> None:
    decider.publish((SALE_FIGURES, figures("A", "KEYS"), {}))
    page.open(f"{served.operations_url}/sale/KEYS")
    page.wait_for("#status", "on sale")
    reached, outlined = list[str](), list[str]()
    while "Drift" not in reached and len(reached) < 30:
        page.press("\ue004")
        reached.append(page.run("const it = document.activeElement; return it.id || it.textContent"))
        outlined.append(page.run("return getComputedStyle(document.activeElement).outlineStyle"))
    wanted = ["To the SKUs", "front", "The chart in numbers", "find", "show", "SKU", "State", "Drift"]
    assert [each for each in reached if each in wanted] == wanted
    assert set(outlined) == {"solid"}


def test_it_comes_back_by_itself_when_the_bridge_does(
    page: Browser, environment: Mapping[str, str], decider: Decider, tmp_path: Path
) -> None:
    decider.publish((SALE_FIGURES, figures("A", "BACK", consumed=1), {}))
    with BridgeProcess(environment, tmp_path / "first", "--operations-port", "0") as process:
        process.wait_ready()
        url, port = process.operations_url, process.operations_url.rpartition(":")[2]
        page.open(f"{url}/sale/BACK")
        page.wait_for("#consumed", "1")
    page.wait_for("#connection", lambda text: "trying again" in text)
    decider.publish((SALE_FIGURES, figures("A", "BACK", consumed=2, seconds=1), {}))
    with BridgeProcess(environment, tmp_path / "second", "--operations-port", port):
        page.wait_for("#connection", "Live")
        page.wait_for("#consumed", "2")


def test_it_says_when_the_links_time_is_over(page: Browser, served: BridgeProcess) -> None:
    page.open(served.url + link("ENDS", CLIENT, SECRET, int(time.time()) + 6))
    page.wait_for("#connection", "Live")
    assert not page.texts("#front")
    page.wait_for("#connection", lambda text: "time is over" in text)


def test_nothing_moves_for_who_does_not_want_that(
    page: Browser, served: BridgeProcess, decider: Decider
) -> None:
    decider.publish((SALE_FIGURES, figures("A", "CALM"), {}))
    page.open(f"{served.operations_url}/sale/CALM")
    page.wait_for("#status", "on sale")
    transition = "return getComputedStyle(document.querySelector('.bar span')).transitionDuration"
    assert page.run(transition) == "0s"
    page.looks(calm=False)
    assert page.run(transition) == "0.6s"


def test_the_list_leads_to_each_sale(page: Browser, served: BridgeProcess, decider: Decider) -> None:
    decider.publish((SALE_FIGURES, figures("A", "LIST/1", consumed=4), {}))
    page.open(f"{served.operations_url}/sale")
    wait_until(lambda: "LIST/1" in page.rows(), "the sale is listed")
    assert page.rows()["LIST/1"][:2] == ["6", "4"]
    page.run("[...document.querySelectorAll('#rows a')].find((a) => a.textContent === 'LIST/1').click()")
    page.wait_for("h1", "LIST/1")
    page.wait_for("#consumed", "4")
