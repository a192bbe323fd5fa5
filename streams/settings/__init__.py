"""All that a process is told: the configuration file and the environment, checked at start.

`load_settings` is the only entrance; whatever is wrong is a `ConfigurationError` of one sentence.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from streams.settings.config import ReservationConfig, read_config
from streams.settings.environment import (
    BridgeEnvironment,
    FluentEnvironment,
    KafkaEnvironment,
    ProcessEnvironment,
)
from streams.settings.errors import ConfigurationError, NoBrokerError
from streams.settings.mapping import InputMapping, compile_mappings

__all__ = [
    "BridgeEnvironment",
    "ConfigurationError",
    "FluentEnvironment",
    "KafkaEnvironment",
    "NoBrokerError",
    "ReservationConfig",
    "Settings",
    "load_settings",
]

USUAL_MINUTES = range(30, 121)


@dataclass(frozen=True, slots=True)
class Settings:
    """Configuration and environment of a process. `notices` are for its log, at start."""

    config: ReservationConfig = field(default_factory=ReservationConfig)
    kafka: KafkaEnvironment = field(default_factory=lambda: KafkaEnvironment.read({}))
    fluent: FluentEnvironment = field(default_factory=lambda: FluentEnvironment.read({}))
    bridge: BridgeEnvironment = field(default_factory=lambda: BridgeEnvironment.read({}))
    data_dir: Path = Path("data")
    topic_prefix: str = ""
    mappings: Mapping[str, InputMapping] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    config_source: str = field(default="defaults", compare=False)
    """Where the configuration was read from, for people."""

    def prefixed(self, name: str) -> str:
        """A topic, consumer group or transactional id as it is called on the broker."""
        return self.topic_prefix + name

    def own_data_dir(self) -> Path:
        """DATA_DIR, created for this user alone where it does not exist. Raises ConfigurationError."""
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"DATA_DIR {self.data_dir} cannot be used: {error.strerror}.") from None
        return self.data_dir

    def require_kafka(self) -> str:
        """The bootstrap servers. Raises ConfigurationError when none are set."""
        if self.kafka.bootstrap_servers is None:
            raise ConfigurationError(
                "KAFKA_BOOTSTRAP_SERVERS is not set; set it to your broker's host:port, "
                "or run `flashsale kafka` for one on this machine."
            )
        return self.kafka.bootstrap_servers

    def require_fluent(self) -> str:
        """Fluent's base URL. Raises ConfigurationError that names what a login lacks."""
        missing = self.fluent.missing()
        if missing or self.fluent.base_url is None:
            verb = "is" if len(missing) == 1 else "are"
            raise ConfigurationError(
                f"{', '.join(missing)} {verb} not set; set Fluent's address and login, "
                "or run `flashsale fluent-simulator` for one on this machine."
            )
        return self.fluent.base_url


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read and check everything. Raises ConfigurationError at the first thing that is wrong."""
    process = ProcessEnvironment.read(environ)
    config, source = read_config(process.config_path)
    kafka = KafkaEnvironment.read(environ)
    kafka.check()
    fluent = FluentEnvironment.read(environ).or_simulator()
    bridge = BridgeEnvironment.read(environ)
    weak = [notice for group in (kafka, fluent, bridge) for notice in group.notices()]
    return Settings(
        config=config,
        config_source=source,
        kafka=kafka,
        fluent=fluent,
        bridge=bridge,
        data_dir=process.data_dir,
        topic_prefix=process.topic_prefix,
        mappings=compile_mappings(config.input_mapping),
        notices=(*_notices(config, fluent), *weak),
    )


def _notices(config: ReservationConfig, fluent: FluentEnvironment) -> list[str]:
    """What is allowed, but should be known."""
    found = []
    if config.lock_timeout_ms is not None:
        found.append("lockTimeoutMs has no effect: there is no lock, each SKU is decided by one process.")
    if config.reservation_duration_minutes not in USUAL_MINUTES:
        minutes = config.reservation_duration_minutes
        found.append(f"reservationDurationMinutes is {minutes}, outside the usual 30 to 120.")
    if fluent.is_plain_http and not fluent.is_loopback:
        found.append(f"FLUENT_BASE_URL is {fluent.base_url}: credentials travel unencrypted; use https://.")
    late_write_s = config.kafka_session_timeout_ms / 1_000 + config.fluent_timeout_seconds
    if config.fluent_verify_seconds <= late_write_s:
        found.append(
            f"fluentVerifySeconds is {config.fluent_verify_seconds:g}, but a late write can reach Fluent for "
            f"{late_write_s:g} s (kafkaSessionTimeoutMs + fluentTimeoutSeconds): make it longer."
        )
    return found
