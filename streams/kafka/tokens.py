"""Logins by token (SASL OAUTHBEARER): from an OpenID Connect provider, or signed by AWS for its MSK.

One source for all clients of a process: librdkafka asks it in a callback, aiokafka and Faust by their token
provider. A token is used until a fifth of its life is left. Where the next one cannot be had, the one at hand
is used until its end.
"""

from __future__ import annotations

import base64
import json
import math
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING
from urllib.parse import quote

from streams.settings import ConfigurationError, KafkaEnvironment
from streams.settings.logins import MSK, OAUTH

if TYPE_CHECKING:
    from httpx import Response

RENEW_AT = 0.8
"""Of a token's life."""

ASK_AGAIN_S = 5.0
"""After a provider that gave no token: whoever connects meanwhile does not wait for the next time-out."""

TIMEOUT_S = 10.0
"""Of each wait for the provider, and of its whole answer from the first byte on."""
MOST_BYTES = 256 * 1024
UNKNOWN_LIFE_S = 300.0
"""Of a token of which neither the answer nor the token itself says how long it lasts."""
LONGEST_LIFE_S = 86_400.0
"""A token is renewed each day at least, whatever is said of its life: JSON's readers know Infinity."""


class TokenRefused(ConfigurationError):
    """No token can be had; the sentence says why and what to look at."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token and its end, in Unix seconds."""

    text: str
    expires_at_s: float


class Tokens:
    """The token that counts now; any thread may ask. `fetch` blocks, and raises TokenRefused."""

    def __init__(self, fetch: Callable[[], Token], clock: Callable[[], float] = time.time) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._token = Token("", 0.0)
        self._ask_at_s = 0.0
        self._refusal = ""

    def current(self) -> Token:
        """A token that is valid. Raises TokenRefused."""
        with self._lock:
            if self._clock() >= self._ask_at_s:
                self._renew()
            if self._refusal and self._clock() >= self._token.expires_at_s:
                raise TokenRefused(self._refusal)
            return self._token

    def _renew(self) -> None:
        try:
            self._token, self._refusal = self._fetch(), ""
            now_s = self._clock()
            self._ask_at_s = now_s + RENEW_AT * (self._token.expires_at_s - now_s)
        except TokenRefused as refusal:
            self._refusal = str(refusal)
            self._ask_at_s = self._clock() + ASK_AGAIN_S

    def for_librdkafka(self, _: str) -> tuple[str, float]:
        """What confluent-kafka's `oauth_cb` returns."""
        token = self.current()
        return token.text, token.expires_at_s


@cache
def tokens_of(kafka: KafkaEnvironment) -> Tokens | None:
    """The source of tokens of this login, the same for the same login; None for one by password."""
    match kafka.sasl_mechanism:
        case "OAUTHBEARER":
            return Tokens(lambda: _from_provider(kafka))
        case "AWS_MSK_IAM":
            return Tokens(lambda: _from_aws(kafka))
    return None


def wire_mechanism(kafka: KafkaEnvironment) -> str | None:
    """The mechanism's name for Kafka: MSK's is a token as well."""
    return OAUTH if kafka.sasl_mechanism == MSK else kafka.sasl_mechanism


def _from_provider(kafka: KafkaEnvironment) -> Token:
    """OAuth 2.0 client credentials (RFC 6749, 4.4): the client logs in by HTTP Basic."""
    import httpx  # only this login needs it, and it takes a while to import

    url, secret = kafka.oauth_token_url, kafka.oauth_client_secret
    assert url and kafka.oauth_client_id and secret  # noqa: S101 - the settings were checked at the start
    login = (quote(kafka.oauth_client_id, safe=""), quote(secret.get_secret_value(), safe=""))
    form = {"grant_type": "client_credentials"}
    if kafka.oauth_scope is not None:
        form["scope"] = kafka.oauth_scope
    try:
        plain = {"accept-encoding": "identity"}
        with httpx.stream("POST", url, data=form, auth=login, timeout=TIMEOUT_S, headers=plain) as answer:
            body = b"".join(_bounded(answer))
    except TokenRefused:
        raise
    except (httpx.HTTPError, httpx.InvalidURL, ImportError, OSError, ValueError) as error:
        # The last four are about a proxy or certificates that the environment names.
        why = str(error) or type(error).__name__
        raise TokenRefused(f"KAFKA_OAUTH_TOKEN_URL {url} does not answer ({why}).") from None
    if not answer.is_success:
        raise TokenRefused(
            f"KAFKA_OAUTH_TOKEN_URL {url} gives no token ({answer.status_code} {_error_in(body)}); check "
            "KAFKA_OAUTH_CLIENT_ID, KAFKA_OAUTH_CLIENT_SECRET and KAFKA_OAUTH_SCOPE."
        )
    return _token_in(body, url)


def _bounded(answer: Response) -> Iterator[bytes]:
    size, ends_at = 0, time.monotonic() + TIMEOUT_S
    for chunk in answer.iter_raw():  # what is packed nevertheless is not unpacked: it may become any size
        size += len(chunk)
        if time.monotonic() > ends_at:
            raise TokenRefused(f"{answer.url} takes more than {TIMEOUT_S:.0f} s for its answer.")
        if size > MOST_BYTES:
            raise TokenRefused(f"{answer.url} answers with more than {MOST_BYTES} bytes, which is no token.")
        yield chunk


def _error_in(body: bytes) -> str:
    """The provider's error code (RFC 6749, 5.2), as far as it is one."""
    try:
        code = str(json.loads(body).get("error", ""))
    except (ValueError, AttributeError, RecursionError):
        return "without a reason"
    return code if re.fullmatch(r"[a-z_]{1,40}", code) else "without a reason"


def _token_in(body: bytes, url: str) -> Token:
    try:
        fields = json.loads(body)
        text, life_s = fields["access_token"], fields.get("expires_in")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        text, life_s = None, None
    if not isinstance(text, str) or not text:
        raise TokenRefused(
            f"KAFKA_OAUTH_TOKEN_URL {url} answers without an access_token; is it the right URL?"
        )
    now_s = time.time()
    if isinstance(life_s, int | float) and life_s > 0:
        return Token(text, now_s + min(life_s, LONGEST_LIFE_S))
    return Token(text, min(_end_in(text) or now_s + UNKNOWN_LIFE_S, now_s + LONGEST_LIFE_S))


def _end_in(token: str) -> float | None:
    """The claim `exp` of a JSON Web Token, None where there is none."""
    try:
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        end_s = float(claims["exp"])
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError):
        return None
    return None if math.isnan(end_s) else end_s


def _from_aws(kafka: KafkaEnvironment) -> Token:
    """A token that AWS's own signer makes of the credentials that boto finds (role, profile, variables)."""
    try:
        signer = import_module("aws_msk_iam_sasl_signer").MSKAuthTokenProvider
    except ImportError:
        raise TokenRefused(
            "KAFKA_SASL_MECHANISM=AWS_MSK_IAM needs AWS's signer; install it with the extra msk: "
            "pip install 'flash-sale-reservations[msk]'."
        ) from None
    try:
        text, expires_at_ms = signer.generate_auth_token(_region(kafka))
    except Exception as error:
        raise TokenRefused(
            f"AWS's signer makes no token ({error}); check that boto finds a role, a profile or AWS_… "
            "variables."
        ) from None
    return Token(text, expires_at_ms / 1_000)


def _region(kafka: KafkaEnvironment) -> str:
    """AWS_REGION, or what the name of MSK's brokers says (`….kafka.eu-central-1.amazonaws.com`)."""
    named = re.search(r"\.kafka(?:-serverless)?\.([a-z0-9-]+)\.amazonaws\.", kafka.bootstrap_servers or "")
    region = os.environ.get("AWS_REGION") or (named[1] if named else "")
    if not region:
        raise TokenRefused("AWS_REGION is not set, and KAFKA_BOOTSTRAP_SERVERS does not name a region.")
    return region
