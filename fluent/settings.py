"""From settings to the gateway's options. Agents import no settings: only their shapes are named here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from fluent.options import FluentOptions

PROFILE_DIR = "FLUENT_PROFILE_DIR"
"""Environment variable: a folder with a profile of one's own."""

CONNECT_S = 5.0


class Secret(Protocol):
    """A value that does not show itself."""

    def get_secret_value(self) -> str:
        """The value."""
        ...


class Login(Protocol):
    """Fluent's part of the environment."""

    @property
    def base_url(self) -> str | None: ...
    @property
    def account(self) -> str | None: ...
    @property
    def client_id(self) -> str | None: ...
    @property
    def client_secret(self) -> Secret | None: ...
    @property
    def username(self) -> str | None: ...
    @property
    def password(self) -> Secret | None: ...
    def missing(self) -> list[str]:
        """Variables that a login needs and that are not set."""
        ...


class Config(Protocol):
    """Fluent's part of the configuration file."""

    @property
    def catalogue(self) -> str: ...
    @property
    def retailer_id(self) -> str: ...
    @property
    def fluent_profile(self) -> str: ...
    @property
    def fluent_requests_per_second(self) -> float: ...
    @property
    def fluent_max_in_flight(self) -> int: ...
    @property
    def fluent_timeout_seconds(self) -> float: ...
    @property
    def max_retries(self) -> int: ...


def options_from(login: Login, config: Config) -> FluentOptions:
    """The options of a process. Raises ValueError that names what the login lacks."""
    if not (login.base_url and login.account and login.client_id and login.client_secret):
        raise ValueError(f"{', '.join(login.missing())} not set: without a login there is no Fluent")
    folder = os.environ.get(PROFILE_DIR)
    return FluentOptions(
        base_url=login.base_url,
        account=login.account,
        client_id=login.client_id,
        client_secret=login.client_secret.get_secret_value(),
        username=login.username,
        password=login.password.get_secret_value() if login.password else None,
        catalogue=config.catalogue,
        retailer_id=config.retailer_id,
        profile=config.fluent_profile,
        profile_dir=Path(folder) if folder else None,
        requests_per_second=config.fluent_requests_per_second,
        max_in_flight=config.fluent_max_in_flight,
        max_retries=config.max_retries,
        call_timeout_s=config.fluent_timeout_seconds,
        connect_timeout_s=min(CONNECT_S, config.fluent_timeout_seconds),
    )
