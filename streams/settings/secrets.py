"""Secrets: where they are read from, and what is wrong or weak about them. None is ever shown."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, SecretStr

from streams.settings.errors import ConfigurationError

LEAST_CHARACTERS = 16
"""Of a secret that signs requests to the bridge: 16 random letters and digits are 95 bits."""


PLACEHOLDER = "CHANGE-ME"
"""In the manifests that are shipped."""

LEAST_KEY_BYTES = 24
"""Of a secret of Standard Webhooks, as its specification asks for."""

WEBHOOK_PREFIX = "whsec_"
"""Of a secret of Standard Webhooks; its key in base64 follows."""


def webhook_key(secret: str) -> bytes | None:
    """The key in a secret of Standard Webhooks; None for a secret of another kind. Raises ValueError."""
    if not secret.startswith(WEBHOOK_PREFIX):
        return None
    key = base64.b64decode(secret.removeprefix(WEBHOOK_PREFIX), validate=True)
    if not key:
        raise ValueError("an empty key")
    return key


def _client_secrets(pairs: object) -> object:
    """`client:secret,client:newsecret` as client to its secrets, all valid at the same time."""
    if not isinstance(pairs, str):
        return pairs
    secrets: dict[str, tuple[SecretStr, ...]] = {}
    for pair in pairs.split(","):
        client, _, secret = pair.strip().partition(":")
        if not client or not secret:
            raise ValueError("must be client:secret pairs with commas between")
        plain = pair.isascii() and pair.strip().isprintable()
        if client != client.strip() or secret != secret.strip() or not plain:
            raise ValueError(
                "must hold clients and secrets of printable ASCII characters without spaces around them, "
                "and commas between"
            )
        if secret == PLACEHOLDER:
            raise ValueError(f"still has {PLACEHOLDER} for {client}, which everybody knows")
        if SecretStr(secret) in secrets.get(client, ()):
            raise ValueError(f"names the same secret of the client {client} twice")
        try:
            webhook_key(secret)
        except ValueError:
            raise ValueError(f"has a whsec_ secret for {client} that is no base64 of a key") from None
        secrets[client] = (*secrets.get(client, ()), SecretStr(secret))
    return secrets


ClientSecrets = Annotated[dict[str, tuple[SecretStr, ...]], BeforeValidator(_client_secrets)]


def from_file(name: str, given: Mapping[str, str]) -> str | None:
    """The content of the file that `NAME_FILE` names, without the line's end that editors put behind it."""
    file = given.get(f"{name}_FILE")
    if file is None:
        return None
    if name in given:
        raise ConfigurationError(f"{name} and {name}_FILE are both set; set one of them.")
    try:
        text = Path(file).read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise ConfigurationError(f"{name}_FILE must be a readable file ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{name}_FILE must be a file of UTF-8.") from None
    if not text:
        raise ConfigurationError(f"{name}_FILE is empty.")
    return text


def weaknesses(secret: str) -> list[str]:
    """What is likely a mistake in a secret that somebody else has given out."""
    found = []
    if len(secret) == 1:
        found.append("is a single character, which looks like a mistake")
    if secret != secret.strip():
        found.append("begins or ends with a space, which looks like a mistake")
    if any(not char.isprintable() for char in secret.strip()):
        found.append("has a line end or another control character in it, which looks like a mistake")
    if not secret.isascii():
        found.append("has characters beyond ASCII, which not every server reads alike")
    return found


def unlimited_webhooks(
    clients: Mapping[str, tuple[SecretStr, ...]], routes: Mapping[str, frozenset[str]]
) -> list[str]:
    """Clients whose captured webhooks could be sent to another route: no route is signed."""
    return [
        f"BRIDGE_SECRETS has a whsec_ secret for {client}, and a webhook's signature does not cover the "
        f"route; limit {client} to one route in BRIDGE_CLIENTS."
        for client, secrets in clients.items()
        if any(secret.get_secret_value().startswith(WEBHOOK_PREFIX) for secret in secrets)
        and len(routes.get(client, ())) != 1
    ]


def shared_weaknesses(clients: Mapping[str, tuple[SecretStr, ...]]) -> list[str]:
    """Secrets of the bridge's clients that can be guessed, and those that two clients share."""
    found, owners = [], dict[SecretStr, str]()
    for client, secrets in clients.items():
        for secret in secrets:
            if (least := _guessable(secret.get_secret_value())) is not None:
                found.append(f"BRIDGE_SECRETS has {least[0]} for {client}, which can be guessed; {least[1]}.")
            if owners.setdefault(secret, client) != client:
                found.append(f"BRIDGE_SECRETS gives {owners[secret]} and {client} the same secret.")
    return found


def _guessable(secret: str) -> tuple[str, str] | None:
    """What a secret is that is too short, and what makes a better one."""
    key = webhook_key(secret)
    if key is None and len(secret) < LEAST_CHARACTERS:
        better = "`openssl rand -hex 32` makes a good one"
        return f"a secret of fewer than {LEAST_CHARACTERS} characters", better
    if key is not None and len(key) < LEAST_KEY_BYTES:
        better = '`echo "whsec_$(openssl rand -base64 32)"` makes a good one'
        return f"a whsec_ secret of fewer than {LEAST_KEY_BYTES} bytes", better
    return None
