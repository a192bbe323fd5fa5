"""The one error of everything that is configured wrongly."""

from __future__ import annotations


class ConfigurationError(Exception):
    """Configuration, environment or connection does not allow a start: one sentence, exit status 2."""


class NoBrokerError(ConfigurationError):
    """No broker answers now: the one cause that may pass by itself, so a supervisor tries again."""
