"""How every client of ours connects: one set of settings for librdkafka, for aiokafka and for Faust."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from schemas.topics import MAX_MESSAGE_BYTES
from streams.kafka.tokens import tokens_of, wire_mechanism
from streams.settings import ConfigurationError, NoBrokerError, Settings

if TYPE_CHECKING:
    from faust.types.auth import CredentialsT

Config = dict[str, Any]
"""Client settings by the library's own names."""

CHECK_TIMEOUT_S = 10.0
RECONNECT_MAX_MS = 500
_log = logging.getLogger("librdkafka")
_silent = logging.Logger("librdkafka.check", level=logging.CRITICAL + 1)


def client_config(settings: Settings) -> Config:
    """What librdkafka (confluent-kafka) needs to connect; the admin client needs nothing else.

    Raises ConfigurationError when no broker is configured.
    """
    kafka = settings.kafka
    locations = {
        "ssl.ca.location": kafka.ssl_ca_location,
        "ssl.certificate.location": kafka.ssl_certificate_location,
        "ssl.key.location": kafka.ssl_key_location,
    }
    config: Config = {
        "bootstrap.servers": settings.require_kafka(),
        "security.protocol": kafka.security_protocol,
        "reconnect.backoff.max.ms": RECONNECT_MAX_MS,
        "logger": _log,
        **{name: str(file) for name, file in locations.items() if file is not None},
    }
    tokens = tokens_of(kafka)
    if tokens is not None:
        config |= {"sasl.mechanism": wire_mechanism(kafka), "oauth_cb": tokens.for_librdkafka}
    elif kafka.uses_sasl:
        config |= {
            "sasl.mechanism": kafka.sasl_mechanism,
            "sasl.username": kafka.sasl_username,
            "sasl.password": _password(settings),
        }
    return config


def producer_config(settings: Settings) -> Config:
    """What a producer of ours needs, as `producing` says. Raises ConfigurationError."""
    return producing(client_config(settings))


def producing(client: Mapping[str, Any]) -> Config:
    """The settings of every producer of ours, on top of those by which a client connects.

    It is idempotent, waits for all replicas, takes messages up to our topics' limit, and sends a key where
    Java's producer would: where the stages look for it.
    """
    return {
        **client,
        "enable.idempotence": True,
        "acks": "all",
        "partitioner": "murmur2_random",
        "linger.ms": 2,
        "batch.size": 900_000,
        "message.max.bytes": MAX_MESSAGE_BYTES,
        "message.timeout.ms": 30_000,
        "reconnect.backoff.max.ms": RECONNECT_MAX_MS,
        "socket.nagle.disable": True,
    }


def consumer_config(settings: Settings, group: str) -> Config:
    """A consumer that sees only what was committed and never commits by itself.

    `group` is a logical name; the prefix is put in front of it here.
    """
    return client_config(settings) | {
        "group.id": settings.prefixed(group),
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "session.timeout.ms": settings.config.kafka_session_timeout_ms,
        "heartbeat.interval.ms": settings.config.kafka_session_timeout_ms // 4,
        "fetch.message.max.bytes": MAX_MESSAGE_BYTES,
    }


def aiokafka_config(settings: Settings) -> Config:
    """What aiokafka's clients need to connect. Raises ConfigurationError as `client_config` does."""
    kafka = settings.kafka
    config: Config = {
        "bootstrap_servers": settings.require_kafka(),
        "security_protocol": kafka.security_protocol,
        "ssl_context": ssl_context(settings),
    }
    tokens = tokens_of(kafka)
    if tokens is not None:
        from streams.kafka.provider import TokenProvider

        config |= {
            "sasl_mechanism": wire_mechanism(kafka),
            "sasl_oauth_token_provider": TokenProvider(tokens),
        }
    elif kafka.uses_sasl:
        config |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": kafka.sasl_username,
            "sasl_plain_password": _password(settings),
        }
    return config


def faust_broker(settings: Settings) -> tuple[str, CredentialsT | None]:
    """Faust's `broker` and `broker_credentials`. Raises ConfigurationError as `client_config` does."""
    url = ";".join(f"kafka://{server}" for server in settings.require_kafka().split(","))
    # Faust takes most of a second to import, and only a worker needs it.
    from faust import auth

    kafka, context = settings.kafka, ssl_context(settings)
    tokens = tokens_of(kafka)
    if tokens is not None:
        from streams.kafka.provider import TokenProvider

        return url, auth.OAuthCredentials(oauth_cb=TokenProvider(tokens), ssl_context=context)
    if kafka.uses_sasl:
        return url, auth.SASLCredentials(
            username=kafka.sasl_username,
            password=_password(settings),
            ssl_context=context,
            mechanism=kafka.sasl_mechanism,
        )
    return url, auth.SSLCredentials(context=context) if context else None


def ssl_context(settings: Settings) -> ssl.SSLContext | None:
    """The TLS side of a connection, host name checked; None for an unencrypted one.

    Raises ConfigurationError where a certificate or key file is not one.
    """
    kafka = settings.kafka
    if not kafka.uses_ssl:
        return None
    try:
        context = ssl.create_default_context(cafile=kafka.ssl_ca_location)
    except ssl.SSLError as error:
        raise _bad_file("KAFKA_SSL_CA_LOCATION", error) from None
    if kafka.ssl_certificate_location is not None:
        try:
            context.load_cert_chain(kafka.ssl_certificate_location, kafka.ssl_key_location)
        except ssl.SSLError as error:
            raise _bad_file("KAFKA_SSL_CERTIFICATE_LOCATION or KAFKA_SSL_KEY_LOCATION", error) from None
    return context


def check_broker(settings: Settings, timeout_s: float = CHECK_TIMEOUT_S) -> int:
    """How many brokers the cluster has.

    Raises NoBrokerError when none answers in time, ConfigurationError when a login's token cannot be had.
    """
    servers, tokens = settings.require_kafka(), tokens_of(settings.kafka)
    if tokens is not None:
        tokens.current()  # says in a sentence what librdkafka would only time out on
    seen: list[KafkaError] = []
    ssl_context(settings)  # names the file where librdkafka would name its own setting
    # What goes wrong here is said once, in the sentence below.
    told = {"error_cb": seen.append, "logger": _silent}
    client = AdminClient(client_config(settings) | told)
    try:
        return len(client.list_topics(timeout=timeout_s).brokers)
    except KafkaException as failure:
        client.poll(0)
        telling = (error for error in seen if error.code() != KafkaError._ALL_BROKERS_DOWN)
        cause = _cause(next(telling, failure.args[0]))
        raise NoBrokerError(
            f"No Kafka broker answers at {servers} ({cause}); check KAFKA_BOOTSTRAP_SERVERS, "
            "KAFKA_SECURITY_PROTOCOL and that the broker runs."
        ) from None


def _cause(error: KafkaError) -> str:
    """librdkafka's text without its own names in front and its state behind."""
    return error.str().split("/bootstrap: ", 1)[-1].split(" (after ", 1)[0]


def _bad_file(variable: str, error: ssl.SSLError) -> ConfigurationError:
    return ConfigurationError(f"{variable} is not usable: {error.reason or error}.")


def _password(settings: Settings) -> str | None:
    password = settings.kafka.sasl_password
    return password.get_secret_value() if password is not None else None
