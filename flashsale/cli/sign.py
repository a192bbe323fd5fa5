"""`flashsale sign`: a curl command, or a link to a sale's page, whose signature the bridge takes."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from flashsale.cli.console import configured, say
from streams.settings import ConfigurationError, Settings

STANDARD_INPUT = "-"
HOUR_S = 3_600
MAX_HOURS = 31 * 24


def sign(
    method: Annotated[str | None, typer.Argument(help="GET or POST.")] = None,
    path: Annotated[
        str | None, typer.Argument(help="A route of the bridge, such as /consume-reservation.")
    ] = None,
    file: Annotated[str | None, typer.Argument(help="The body; - is standard input.")] = None,
    page: Annotated[
        str | None, typer.Option(metavar="PROMOTION", help="Print a link to this sale's live page instead.")
    ] = None,
    hours: Annotated[
        float, typer.Option(min=0.01, max=MAX_HOURS, help="How long the link of --page is good.")
    ] = 12,
    client: Annotated[
        str | None, typer.Option(help="A client in BRIDGE_SECRETS; default: its first one.")
    ] = None,
    url: Annotated[str, typer.Option(help="Address of the bridge.")] = "http://127.0.0.1:8081",
) -> int:
    """Print a curl command that sends `file` (`-`: standard input, None: no body), signed now by `client`.

    The bridge takes it for five minutes. With `page` it is a link that anybody can open for some hours.
    Raises ConfigurationError.
    """
    settings = configured()
    signer, secret = _secret_of(settings, client)
    if page is not None:
        if method is not None:
            raise ConfigurationError("--page prints a link of its own; leave METHOD and PATH out.")
        return _say_link(url, page, signer, secret, hours)
    if method is None or path is None:
        raise ConfigurationError("METHOD and PATH are missing, such as POST /consume-reservation; or --page.")
    if not path.startswith("/"):
        raise ConfigurationError(f"PATH begins with a slash, like /orders/ORD-1, but is {path}.")
    from bridge.signing import sign as signature

    body = _read(file)
    timestamp = int(time.time())
    headers = {
        "X-Client-Id": signer,
        "X-Timestamp": str(timestamp),
        "X-Signature": signature(secret, timestamp, method.upper(), path, body),
    }
    say(
        shlex.join(
            ["curl", "-sS", "-X", method.upper(), url.rstrip("/") + path, *_options(headers, file, body)]
        )
    )
    return 0


def _say_link(url: str, promotion_id: str, signer: str, secret: str, hours: float) -> int:
    from bridge.sale.links import link

    say(url.rstrip("/") + link(promotion_id, signer, secret, int(time.time() + hours * HOUR_S)))
    return 0


def _options(headers: dict[str, str], file: str | None, body: bytes) -> list[str]:
    if file is not None:
        headers = {**headers, "Content-Type": "application/json"}
    options = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    if file is None:
        return options
    data = body.decode() if file == STANDARD_INPUT else f"@{file}"
    return [*options, "--data-binary", data]


def _secret_of(settings: Settings, client: str | None) -> tuple[str, str]:
    """A client of BRIDGE_SECRETS, the first one when none is named, and its newest secret."""
    secrets = settings.bridge.secrets
    if not secrets:
        raise ConfigurationError("BRIDGE_SECRETS is not set; set it to client:secret, as for the bridge.")
    signer = client or next(iter(secrets))
    if signer not in secrets:
        raise ConfigurationError(f"BRIDGE_SECRETS has no client {signer}; it has: {', '.join(secrets)}.")
    return signer, secrets[signer][-1].get_secret_value()


def _read(file: str | None) -> bytes:
    if file is None:
        return b""
    if file == STANDARD_INPUT:
        body = sys.stdin.buffer.read()
        if body.startswith(b"@") or not _is_text(body):
            raise ConfigurationError("The body on standard input is not JSON in UTF-8.")
        return body
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"The file {file} cannot be read: {error.strerror}.") from None


def _is_text(body: bytes) -> bool:
    try:
        return "\0" not in body.decode()
    except UnicodeDecodeError:
        return False
