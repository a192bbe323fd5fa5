"""Which variables each way to log in to Kafka needs, and which it does not use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from streams.settings.errors import ConfigurationError

Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "AWS_MSK_IAM"]

OAUTH, MSK = "OAUTHBEARER", "AWS_MSK_IAM"
_PASSWORD = ("KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD")
_CLIENT = ("KAFKA_OAUTH_TOKEN_URL", "KAFKA_OAUTH_CLIENT_ID", "KAFKA_OAUTH_CLIENT_SECRET")
_OPTIONAL = ("KAFKA_OAUTH_SCOPE",)


def check_login(protocol: str, given: Mapping[str, object]) -> None:
    """Raises ConfigurationError for variables that a login lacks or that contradict each other.

    `given`: the value of each `KAFKA_…` variable, None where it is not set.
    """
    mechanism = given["KAFKA_SASL_MECHANISM"]
    wanted = f"KAFKA_SECURITY_PROTOCOL={protocol}"
    if not protocol.startswith("SASL_"):
        for name in ("KAFKA_SASL_MECHANISM", *_PASSWORD, *_CLIENT, *_OPTIONAL):
            _unused(name, wanted, given)
        return
    _needed("KAFKA_SASL_MECHANISM", wanted, given)
    wanted = f"KAFKA_SASL_MECHANISM={mechanism}"
    needed = {OAUTH: _CLIENT, MSK: ()}.get(str(mechanism), _PASSWORD)
    for name in needed:
        _needed(name, wanted, given)
    allowed = (*needed, *_OPTIONAL) if mechanism == OAUTH else needed
    for name in (*_PASSWORD, *_CLIENT, *_OPTIONAL):
        if name not in allowed:
            _unused(name, wanted, given)


def _needed(name: str, wanted: str, given: Mapping[str, object]) -> None:
    if given[name] is None:
        raise ConfigurationError(f"{name} is not set, but {wanted} needs it.")


def _unused(name: str, wanted: str, given: Mapping[str, object]) -> None:
    if given[name] is not None:
        raise ConfigurationError(f"{name} is set, but {wanted} does not use it.")
