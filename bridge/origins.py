"""Refuses what a web page sends to loopback: any page in a browser on this machine can post to it.

A browser says where a page came from (`Origin`), and which name it was given for us (`Host`): a page of
somebody's own name that points at 127.0.0.1 is found by that.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from bridge.problems import Problem

MAX_SHOWN = 100


class LoopbackOnly:
    """ASGI: to `app` only what names loopback as `Host` and, where it comes from a page, as `Origin`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        foreign = _foreign(Headers(scope=scope)) if scope["type"] == "http" else ""
        if foreign:
            problem = Problem(
                403,
                f"The request has a foreign {foreign}, and without signatures only this machine may ask",
                "Ask http://127.0.0.1 or http://localhost, or run the bridge with BRIDGE_SECRETS.",
            )
            await problem.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is this machine's own."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _foreign(headers: Headers) -> str:
    """The header that names somebody else, with its value; empty when none does."""
    given = {"Host": f"//{headers.get('host', 'localhost')}", "Origin": headers.get("origin", "//localhost")}
    for name, url in given.items():
        if not is_loopback(_hostname(url)):
            return f"{name} ({url.removeprefix('//')[:MAX_SHOWN]})"
    return ""


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
