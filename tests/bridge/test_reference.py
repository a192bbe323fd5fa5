"""`/docs`: the API in a browser, whole, from this file alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from bridge.reference import POLICY, page
from tests.bridge.process import BridgeProcess

VOID = {"meta"}


class Reader(HTMLParser):
    """Anchors, targets and text of a page; every element that begins must end."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        assert not any(name.startswith("on") or name == "src" for name in given), given
        assert tag != "script"
        self.ids |= {given["id"] or ""} if "id" in given else set()
        self.links += [given["href"] or ""] if "href" in given else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def answer(bridge: BridgeProcess) -> httpx.Response:
    return httpx.get(f"{bridge.url}/docs", trust_env=False)


@pytest.fixture(scope="module")
def document(bridge: BridgeProcess) -> Any:
    return httpx.get(f"{bridge.url}/openapi.json", trust_env=False).json()


@pytest.fixture
def reader(answer: httpx.Response) -> Iterator[Reader]:
    read = Reader()
    read.feed(answer.text)
    read.close()
    assert read.open == []
    yield read


def test_the_page_shows_every_operation_with_its_answers(
    answer: httpx.Response, reader: Reader, document: Any
) -> None:
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    text = " ".join(reader.text.split())
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert f"{method.upper()} {path}" in text
            assert operation["operationId"] in reader.ids
            for status, response in operation["responses"].items():
                assert status in text
                assert " ".join(response["description"].replace("`", "").split()) in text


def test_every_link_leads_somewhere_and_nothing_comes_from_outside(
    answer: httpx.Response, reader: Reader
) -> None:
    assert {link for link in reader.links if not link.startswith("#")} == {"openapi.json"}
    assert {link[1:] for link in reader.links if link.startswith("#")} <= reader.ids
    assert answer.headers["content-security-policy"] == POLICY
    assert re.match(r"default-src 'none'; style-src 'sha256-[\w+/=]+'", POLICY)


def test_texts_are_shown_and_never_run(document: Any) -> None:
    hostile = "<script>alert(1)</script>"
    info = {**document["info"], "title": hostile, "description": f"`{hostile}`"}
    read = Reader()
    read.feed(page({**document, "info": info}))
    assert hostile in read.text
