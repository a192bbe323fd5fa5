"""Links to a sale's page for people who have no secret: signed, for one promotion, with an end.

The text that is signed begins with a word where that of a request begins with digits, so neither signature
is ever taken for the other.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Mapping
from hashlib import sha256
from urllib.parse import quote, urlencode

from pydantic import SecretStr
from starlette.requests import Request

from bridge.problems import Problem

MAX_DIGITS = 12


def link(promotion_id: str, client: str, secret: str, expires_s: int) -> str:
    """Path and query of the page; it is served until `expires_s` (Unix seconds)."""
    signature = _digest(secret.encode(), promotion_id, str(expires_s))
    query = urlencode({"client": client, "expires": expires_s, "signature": signature})
    return f"/sale/{quote(promotion_id, safe='')}?{query}"


class Links:
    """Takes the links of known clients. `secrets_of` None: nobody needs one, which only loopback may have."""

    def __init__(self, secrets_of: Mapping[str, tuple[SecretStr, ...]] | None) -> None:
        self._is_open = secrets_of is None
        self._keys = {
            client: tuple(secret.get_secret_value().encode() for secret in known)
            for client, known in (secrets_of or {}).items()
        }
        # Somebody unknown costs the same time as somebody known.
        self._nobody = (secrets.token_bytes(32),)

    def require(self, request: Request, promotion_id: str | None) -> int | None:
        """When the link of a request to a promotion's page ends, in Unix seconds; None: never.

        `promotion_id` None: the list of all sales, to which there are no links. Raises Problem: the same
        whatever is wrong.
        """
        if self._is_open:
            return None
        query = request.query_params
        client, expires, given = (query.get(name, "") for name in ("client", "expires", "signature"))
        signed = False
        for key in self._keys.get(client, self._nobody):
            expected = _digest(key, promotion_id or "", expires)
            signed |= hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace"))
        known = signed and client in self._keys and promotion_id is not None
        if not known or not _lies_ahead(expires, time.time()):
            raise no_link()
        return int(expires)


def no_link() -> Problem:
    """The same whatever is wrong with a link."""
    return Problem(
        401,
        "The page needs a link that is signed, and this one is not valid or its time is over",
        "Ask for a new one: `flashsale sign --page PROMOTION` prints it. "
        "The operations port serves the page without.",
    )


def _digest(secret: bytes, promotion_id: str, expires: str) -> str:
    return hmac.new(secret, f"sale-page.{expires}.{promotion_id}".encode(), sha256).hexdigest()


def _lies_ahead(expires: str, now_s: float) -> bool:
    digits = expires.isascii() and expires.isdigit() and len(expires) <= MAX_DIGITS
    return digits and now_s < int(expires)
