"""One set of settings for three client libraries; no broker is one sentence."""

from __future__ import annotations

import socket
import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from faust.auth import SASLCredentials

from schemas.topics import MAX_MESSAGE_BYTES
from streams.kafka import (
    check_broker,
    client_config,
    consumer_config,
    faust_broker,
    producer_config,
    ssl_context,
)
from streams.settings import ConfigurationError, load_settings

PLAIN = {"KAFKA_BOOTSTRAP_SERVERS": "a:1,b:2", "TOPIC_PREFIX": "t."}


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate with its key, both in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "client.pem"
    form = serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    file.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + pem)
    return file


@pytest.fixture
def sasl_ssl(certificate: Path) -> dict[str, str]:
    return PLAIN | {
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "KAFKA_SASL_USERNAME": "me",
        "KAFKA_SASL_PASSWORD": "hush",
        "KAFKA_SSL_CA_LOCATION": str(certificate),
        "KAFKA_SSL_CERTIFICATE_LOCATION": str(certificate),
        "KAFKA_SSL_KEY_LOCATION": str(certificate),
    }


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_librdkafka_takes_every_setting(sasl_ssl: dict[str, str]) -> None:
    for environ in (PLAIN, sasl_ssl):
        settings = load_settings(environ)
        Producer(producer_config(settings))
        Consumer(consumer_config(settings, "tail")).close()


def test_librdkafka_gets_the_login_and_the_files(sasl_ssl: dict[str, str]) -> None:
    config = client_config(load_settings(sasl_ssl))
    assert config["bootstrap.servers"] == "a:1,b:2"
    assert config["security.protocol"] == "SASL_SSL"
    assert config["sasl.mechanism"] == "SCRAM-SHA-512"
    assert (config["sasl.username"], config["sasl.password"]) == ("me", "hush")
    assert config["ssl.ca.location"] == sasl_ssl["KAFKA_SSL_CA_LOCATION"]


def test_producers_are_idempotent_and_take_the_largest_message() -> None:
    config = producer_config(load_settings(PLAIN))
    assert config["enable.idempotence"] is True
    assert config["message.max.bytes"] == MAX_MESSAGE_BYTES
    assert config["partitioner"] == "murmur2_random", "a key stands where the stages look for it"


def test_consumers_see_only_what_was_committed_and_carry_the_prefix() -> None:
    config = consumer_config(load_settings(PLAIN), "tail")
    assert config["isolation.level"] == "read_committed"
    assert config["group.id"] == "t.tail"


def test_faust_gets_the_same_login(sasl_ssl: dict[str, str]) -> None:
    settings = load_settings(sasl_ssl)
    url, credentials = faust_broker(settings)
    assert url == "kafka://a:1;kafka://b:2"
    assert isinstance(credentials, SASLCredentials)
    assert (credentials.protocol.value, credentials.mechanism.value) == ("SASL_SSL", "SCRAM-SHA-512")
    assert credentials.password == "hush" and isinstance(credentials.ssl_context, ssl.SSLContext)
    assert "hush" not in repr(credentials)


def test_an_unencrypted_broker_needs_no_credentials() -> None:
    settings = load_settings(PLAIN)
    assert faust_broker(settings)[1] is None
    assert ssl_context(settings) is None


def test_encryption_checks_the_brokers_name(sasl_ssl: dict[str, str]) -> None:
    context = ssl_context(load_settings(sasl_ssl))
    assert context is not None and context.check_hostname and context.verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize("variable", ["KAFKA_SSL_CA_LOCATION", "KAFKA_SSL_KEY_LOCATION"])
def test_a_file_that_is_no_certificate_is_one_sentence(
    sasl_ssl: dict[str, str], tmp_path: Path, variable: str
) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_text("not a certificate")
    settings = load_settings(sasl_ssl | {variable: str(bad)})
    for connect in (faust_broker, check_broker):
        with pytest.raises(ConfigurationError, match=rf"{variable} is not usable"):
            connect(settings)


def test_a_broker_that_does_not_answer_is_one_sentence_in_time(
    closed_port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = load_settings({"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{closed_port}"})
    began = time.monotonic()
    with pytest.raises(ConfigurationError) as caught:
        check_broker(settings, timeout_s=1)
    assert time.monotonic() - began < 5
    text = str(caught.value)
    assert text.startswith(f"No Kafka broker answers at 127.0.0.1:{closed_port} (")
    assert "Connection refused" in text and text.endswith(".") and "\n" not in text
    assert capfd.readouterr() == ("", "")


def test_without_bootstrap_servers_no_client_is_made() -> None:
    for make in (client_config, faust_broker, check_broker):
        with pytest.raises(ConfigurationError, match="KAFKA_BOOTSTRAP_SERVERS is not set"):
            make(load_settings({}))
