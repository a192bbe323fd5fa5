"""A second listener with TLS and SCRAM: its certificates, its broker properties, its user."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from rehearsal.kafka.config import HOST

MECHANISM = "SCRAM-SHA-512"
VALIDITY = datetime.timedelta(days=3650)
"""As long as anybody keeps a data directory; the key never leaves it."""
REQUEST_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class ScramUser:
    """The user whom the SASL_SSL listener lets in."""

    username: str
    password: str = field(repr=False)


def ensure_certificates(tls_dir: Path) -> Path:
    """Return the path of the CA certificate (PEM); creates it and the server's `server.pem` where missing.

    The server's certificate is for `localhost` and 127.0.0.1. Keys stay readable by their owner only.
    """
    authority, server = tls_dir / "ca.pem", tls_dir / "server.pem"
    if authority.exists() and server.exists():
        return authority
    tls_dir.mkdir(parents=True, exist_ok=True)
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name = _name("Embedded Kafka CA")
    ca = _certificate(ca_name, ca_name, ca_key.public_key(), ca_key, authority=True)
    leaf = _certificate(_name("localhost"), ca_name, key.public_key(), ca_key, authority=False)
    server.touch(mode=0o600)
    # Kafka's PEM key store takes an unencrypted PKCS#8 key and the chain from one file.
    server.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + leaf.public_bytes(Encoding.PEM)
        + ca.public_bytes(Encoding.PEM)
    )
    authority.write_bytes(ca.public_bytes(Encoding.PEM))
    return authority


def listener_properties(tls_dir: Path) -> dict[str, str]:
    """Return the broker properties of the SASL_SSL listener."""
    listener = "listener.name.sasl_ssl"
    return {
        f"{listener}.ssl.keystore.type": "PEM",
        f"{listener}.ssl.keystore.location": str(tls_dir / "server.pem"),
        f"{listener}.sasl.enabled.mechanisms": MECHANISM,
        f"{listener}.{MECHANISM.lower()}.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
    }


def add_user(admin: AdminClient, user: ScramUser) -> None:
    """Create the user or set its password. Raises KafkaException when the broker refuses."""
    change = UserScramCredentialUpsertion(
        user.username, ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096), user.password.encode()
    )
    for future in admin.alter_user_scram_credentials([change]).values():
        future.result(REQUEST_TIMEOUT_S)


def client_environment(port: int, user: ScramUser, authority: Path) -> dict[str, str]:
    """Return the environment that makes a client of this project use the listener."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": f"{HOST}:{port}",
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_MECHANISM": MECHANISM,
        "KAFKA_SASL_USERNAME": user.username,
        "KAFKA_SASL_PASSWORD": user.password,
        "KAFKA_SSL_CA_LOCATION": str(authority),
    }


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    ca_key: ec.EllipticCurvePrivateKey,
    *,
    authority: bool,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(HOST))]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + VALIDITY)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        # RFC 5280 4.2.1.1/2; Python's default verification has been strict about them since 3.13.
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .add_extension(_usage(authority=authority), critical=True)
    )
    if not authority:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(ca_key, hashes.SHA256())


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
