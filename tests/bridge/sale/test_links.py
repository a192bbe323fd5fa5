"""A link opens one promotion's page until its end, and nothing else."""

from __future__ import annotations

import time
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from pydantic import SecretStr
from starlette.requests import Request

from bridge.problems import Problem
from bridge.sale.links import Links, link
from bridge.signing import sign

SECRETS = {"shop": (SecretStr("old"), SecretStr("new")), "other": (SecretStr("another"),)}
LATER_S = int(time.time()) + 3_600


def asked(url: str) -> Request:
    """A request for a link."""
    parts = urlsplit(url)
    scope = {"type": "http", "path": parts.path, "query_string": parts.query.encode(), "headers": []}
    return Request(scope)


def let_in(url: str, promotion: str | None) -> bool:
    try:
        return Links(SECRETS).require(asked(url), promotion) == LATER_S
    except Problem as problem:
        assert problem.status == 401 and "flashsale sign --page" in problem.recommendation
        return False


@pytest.mark.parametrize("secret", ["old", "new"])
@pytest.mark.parametrize("promotion", ["FLASH-1", "A/1 ü?&", ".", "x/events"])
def test_a_link_is_taken_with_every_secret_of_its_client(promotion: str, secret: str) -> None:
    url = link(promotion, "shop", secret, LATER_S)
    assert url.startswith("/sale/") and urlsplit(url).path.count("/") == 2
    assert let_in(url, promotion)


def changed(url: str, **texts: str) -> str:
    query = dict(parse_qsl(urlsplit(url).query)) | texts
    return f"{urlsplit(url).path}?{urlencode(query)}"


def test_a_link_opens_nothing_else() -> None:
    url = link("FLASH-1", "shop", "new", LATER_S)
    assert let_in(url, "FLASH-1")
    assert not let_in(url, "FLASH-2") and not let_in(url, None) and not let_in(url, "")
    assert not let_in(changed(url, expires=str(LATER_S + 1)), "FLASH-1")
    assert not let_in(changed(url, client="other"), "FLASH-1")
    assert not let_in(changed(url, client="nobody"), "FLASH-1")
    assert not let_in(changed(url, signature=""), "FLASH-1") and not let_in("/sale/FLASH-1", "FLASH-1")


def test_a_link_has_an_end() -> None:
    over = int(time.time())
    assert not let_in(link("P", "shop", "new", over), "P")
    assert not let_in(changed(link("P", "shop", "new", over), expires="9" * 13), "P")


@pytest.mark.parametrize("expires", ["", "-1", "1e9", "²", "9" * 5_000, "soon"])
def test_an_end_that_is_no_time_is_refused_even_if_it_was_signed(expires: str) -> None:
    assert not let_in(link("P", "shop", "new", expires), "P")  # type: ignore[arg-type]


def test_a_requests_signature_is_no_links_signature() -> None:
    signature = sign("new", LATER_S, "GET", "/sale/P", b"").removeprefix("sha256=")
    assert not let_in(changed(link("P", "shop", "new", LATER_S), signature=signature), "P")


def test_without_secrets_nobody_needs_a_link() -> None:
    assert Links(None).require(asked("/sale"), None) is None
    assert Links(None).require(asked("/sale/P"), "P") is None
