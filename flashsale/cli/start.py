"""What most commands begin with: settings, logs, a broker that answers."""

from __future__ import annotations

from schemas.topics import BY_NAME
from streams.kafka import check_broker
from streams.log import configure
from streams.settings import ConfigurationError, Settings, load_settings


def configured(level: str = "WARNING") -> Settings:
    """Settings, with logs of at least `level` on standard error. Raises ConfigurationError."""
    configure(level)
    return load_settings()


def connected() -> Settings:
    """Settings, once a broker has answered. Raises ConfigurationError when none does."""
    settings = configured()
    check_broker(settings)
    return settings


def known_topic(name: str) -> str:
    """A topic's logical name. Raises ConfigurationError for one that is none of ours."""
    if name not in BY_NAME:
        raise ConfigurationError(f"{name} is not a topic of ours; these are: {', '.join(BY_NAME)}.")
    return name
