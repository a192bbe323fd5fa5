"""The environment: addresses and secrets, checked, and never shown."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from streams.settings import (
    BridgeEnvironment,
    ConfigurationError,
    FluentEnvironment,
    KafkaEnvironment,
    load_settings,
)


def error_of(environ: dict[str, str]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(environ)
    return str(caught.value)


def test_an_empty_variable_counts_as_unset() -> None:
    names = ("KAFKA_BOOTSTRAP_SERVERS", "FLUENT_BASE_URL", "DATA_DIR", "BRIDGE_SECRETS", "RESERVATION_CONFIG")
    assert load_settings(dict.fromkeys(names, "")) == load_settings({})


@pytest.mark.parametrize(
    ("given", "servers"),
    [
        ("kafka", "kafka:9092"),
        ("a:1, b:2", "a:1,b:2"),
        ("[::1]:9092", "[::1]:9092"),
        ("10.0.0.1:9093,", "10.0.0.1:9093"),
    ],
)
def test_bootstrap_servers_are_hosts_with_ports(given: str, servers: str) -> None:
    assert load_settings({"KAFKA_BOOTSTRAP_SERVERS": given}).require_kafka() == servers


@pytest.mark.parametrize("given", ["a:x", "a:99999", "kafka://a:1", "a b", ",", "a:1/x", ":9092"])
def test_bootstrap_servers_that_are_none_are_one_sentence(given: str) -> None:
    assert error_of({"KAFKA_BOOTSTRAP_SERVERS": given}).startswith(
        "KAFKA_BOOTSTRAP_SERVERS must be host:port"
    )


def test_without_a_broker_the_sentence_says_how_to_get_one() -> None:
    with pytest.raises(ConfigurationError, match=r"KAFKA_BOOTSTRAP_SERVERS is not set; .*flashsale kafka"):
        load_settings({}).require_kafka()


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, "KAFKA_SECURITY_PROTOCOL must be 'PLAINTEXT', 'SSL',"),
        ({"KAFKA_SASL_MECHANISM": "GSSAPI"}, "KAFKA_SASL_MECHANISM must be 'PLAIN', 'SCRAM-SHA-256'"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "KAFKA_SASL_MECHANISM is not set, but"),
        (
            {"KAFKA_SASL_PASSWORD": "hush"},
            "KAFKA_SASL_PASSWORD is set, but KAFKA_SECURITY_PROTOCOL",
        ),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_MECHANISM": "OAUTHBEARER"},
            "KAFKA_OAUTH_TOKEN_URL is not set, but KAFKA_SASL_MECHANISM=OAUTHBEARER needs it.",
        ),
        (
            {
                "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
                "KAFKA_SASL_MECHANISM": "AWS_MSK_IAM",
                "KAFKA_SASL_PASSWORD": "hush",
            },
            "KAFKA_SASL_PASSWORD is set, but KAFKA_SASL_MECHANISM=AWS_MSK_IAM does not use it.",
        ),
        (
            {"KAFKA_OAUTH_SCOPE": "kafka"},
            "KAFKA_OAUTH_SCOPE is set, but KAFKA_SECURITY_PROTOCOL=PLAINTEXT does not use it.",
        ),
        ({"KAFKA_OAUTH_TOKEN_URL": "login.example"}, "KAFKA_OAUTH_TOKEN_URL must be a URL"),
        ({"KAFKA_SSL_CA_LOCATION": "/nope"}, "KAFKA_SSL_CA_LOCATION must be a readable file"),
        ({"FLUENT_BASE_URL": "ftp://x"}, "FLUENT_BASE_URL must be a URL"),
        ({"FLUENT_BASE_URL": "x.example"}, "FLUENT_BASE_URL must be a URL"),
        ({"FLUENT_BASE_URL": "https://"}, "FLUENT_BASE_URL must be a URL"),
        ({"FLUENT_BASE_URL": "https://a:99999"}, "FLUENT_BASE_URL must be a URL"),
        ({"FLUENT_BASE_URL": "https://x/?a=1"}, "FLUENT_BASE_URL must be a URL"),
        ({"BRIDGE_SECRETS": "shop"}, "BRIDGE_SECRETS must be client:secret pairs"),
        ({"BRIDGE_SECRETS": "shop:,x:hush"}, "BRIDGE_SECRETS must be client:secret pairs"),
        ({"TOPIC_PREFIX": "a b"}, "TOPIC_PREFIX must match"),
        ({"TOPIC_PREFIX": "a" * 101}, "TOPIC_PREFIX must be at most 100 characters"),
    ],
)
def test_a_wrong_variable_is_one_sentence_that_names_it(environ: dict[str, str], sentence: str) -> None:
    text = error_of(environ)
    assert text.startswith(sentence) and text.endswith(".") and "\n" not in text
    assert "hush" not in text


def test_a_certificate_needs_its_key(tmp_path: Path) -> None:
    file = tmp_path / "client.pem"
    file.write_text("x")
    environ = {"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_CERTIFICATE_LOCATION": str(file)}
    assert error_of(environ).startswith("KAFKA_SSL_CERTIFICATE_LOCATION is set, but KAFKA_SSL_KEY_LOCATION")


def test_a_url_with_a_login_is_refused_without_showing_it() -> None:
    text = error_of({"FLUENT_BASE_URL": "https://me:hush@x.example"})
    assert (
        text == "FLUENT_BASE_URL must not contain a login; FLUENT_USERNAME and FLUENT_PASSWORD are for that."
    )


def test_secrets_show_neither_in_a_repr_nor_in_a_traceback() -> None:
    environ = {
        "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_SASL_USERNAME": "me",
        "KAFKA_SASL_PASSWORD": "hush-1",
        "FLUENT_CLIENT_SECRET": "hush-2",
        "FLUENT_PASSWORD": "hush-3",
        "BRIDGE_SECRETS": "shop:hush-4",
    }
    assert "hush" not in repr(load_settings(environ))
    wrong = {"BRIDGE_SECRETS": "shop:hush-4,hush-5"}  # not in the line that a traceback shows
    try:
        load_settings(environ | wrong)
    except ConfigurationError:
        assert "hush-5" not in traceback.format_exc()
    else:
        pytest.fail("a secret without a client was taken")


SECRETS = (
    "KAFKA_SASL_PASSWORD",
    "KAFKA_OAUTH_CLIENT_SECRET",
    "FLUENT_CLIENT_SECRET",
    "FLUENT_PASSWORD",
    "BRIDGE_SECRETS",
)


def test_every_secret_may_come_from_a_file() -> None:
    groups = (KafkaEnvironment, FluentEnvironment, BridgeEnvironment)
    assert tuple(name for group in groups for name in group.secret_names()) == SECRETS


def test_a_secret_in_a_file_is_the_secret(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("hush of the file\n")
    settings = load_settings({"FLUENT_CLIENT_SECRET_FILE": str(file)})
    assert settings.fluent.client_secret is not None
    assert settings.fluent.client_secret.get_secret_value() == "hush of the file"
    file.write_text("shop:hush-hush-hush-hush\r\n")
    bridge = load_settings({"BRIDGE_SECRETS_FILE": str(file)}).bridge
    assert bridge.secrets["shop"][0].get_secret_value() == "hush-hush-hush-hush"


@pytest.mark.parametrize("name", SECRETS)
def test_a_file_of_a_secret_that_cannot_be_read_is_one_sentence(name: str, tmp_path: Path) -> None:
    missing, empty = str(tmp_path / "missing"), tmp_path / "empty"
    empty.write_text("\n")
    assert (
        error_of({f"{name}_FILE": missing})
        == f"{name}_FILE must be a readable file (No such file or directory)."
    )
    assert error_of({f"{name}_FILE": str(empty)}) == f"{name}_FILE is empty."
    both = error_of({f"{name}_FILE": missing, name: "hush"})
    assert both == f"{name} and {name}_FILE are both set; set one of them."


PADDED = "must hold clients and secrets of printable ASCII characters without spaces around them"


@pytest.mark.parametrize(
    ("secrets", "sentence"),
    [
        ("shop: hush-hush-hush-hush", PADDED),
        ("shop :hush-hush-hush-hush", PADDED),
        (
            "shop:h\u00fcsh-h\u00fcsh-h\u00fcsh",
            PADDED,
        ),
        ("shop:hush-hush-hush-hush\napp:hush-hush-hush-hush", PADDED),
        (
            "shop:hush-hush-hush-hush,shop:hush-hush-hush-hush",
            "names the same secret of the client shop",
        ),
    ],
    ids=["padded secret", "padded client", "not ASCII", "two lines", "twice the same"],
)
def test_a_bridge_secret_that_is_a_mistake_is_refused(secrets: str, sentence: str) -> None:
    text = error_of({"BRIDGE_SECRETS": secrets})
    assert text.startswith(f"BRIDGE_SECRETS {sentence}")
    assert "hush" not in text


def test_a_bridge_secret_that_can_be_guessed_or_is_shared_is_a_notice() -> None:
    notices = load_settings(
        {"BRIDGE_SECRETS": "a:b,shop:hush-hush-hush-hush,app:hush-hush-hush-hush"}
    ).notices
    assert [notice.split(",")[0] for notice in notices] == [
        "BRIDGE_SECRETS has a secret of fewer than 16 characters for a",
        "BRIDGE_SECRETS gives shop and app the same secret.",
    ]
    assert load_settings({"BRIDGE_SECRETS": "shop:hush-hush-hush-hush"}).notices == ()


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ("x", "a single character"),
        ("hush ", "begins or ends with a space"),
        ("hush\nhush", "a line end"),
        ("h\u00fcsh", "beyond ASCII"),
    ],
)
def test_a_secret_that_looks_like_a_mistake_is_a_notice(secret: str, words: str) -> None:
    [notice] = load_settings({"FLUENT_PASSWORD": secret}).notices
    assert notice.startswith("FLUENT_PASSWORD ") and words in notice
    assert "sh" not in notice.removeprefix("FLUENT_PASSWORD ")


def test_a_login_that_travels_unencrypted_is_a_notice_beyond_loopback() -> None:
    login = {
        "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_SASL_USERNAME": "me",
        "KAFKA_SASL_PASSWORD": "hush",
    }
    [notice] = load_settings(login | {"KAFKA_BOOTSTRAP_SERVERS": "broker:9092"}).notices
    assert notice.startswith("KAFKA_SECURITY_PROTOCOL is SASL_PLAINTEXT: the password travels unencrypted")
    assert load_settings(login | {"KAFKA_BOOTSTRAP_SERVERS": "localhost:9092"}).notices == ()


def test_a_client_has_several_secrets_during_a_rotation() -> None:
    bridge = load_settings({"BRIDGE_SECRETS": "shop:old, shop:new:er,app:x"}).bridge
    secrets = {
        client: [secret.get_secret_value() for secret in each] for client, each in bridge.secrets.items()
    }
    assert secrets == {"shop": ["old", "new:er"], "app": ["x"]}


def test_fluent_needs_an_address_and_a_login() -> None:
    with pytest.raises(ConfigurationError, match="FLUENT_BASE_URL, FLUENT_ACCOUNT, FLUENT_CLIENT_ID"):
        load_settings({}).require_fluent()
    environ = {
        "FLUENT_BASE_URL": "https://acme.api.fluentretail.com/",
        "FLUENT_ACCOUNT": "ACME",
        "FLUENT_CLIENT_ID": "id",
        "FLUENT_CLIENT_SECRET": "hush",
    }
    assert load_settings(environ).require_fluent() == "https://acme.api.fluentretail.com"
    with pytest.raises(ConfigurationError, match=r"^FLUENT_PASSWORD is not set"):
        load_settings(environ | {"FLUENT_USERNAME": "me"}).require_fluent()


def test_the_simulator_on_loopback_needs_no_login() -> None:
    settings = load_settings({"FLUENT_BASE_URL": "http://127.0.0.1:8080"})
    assert settings.require_fluent() == "http://127.0.0.1:8080"
    assert settings.fluent.account and settings.fluent.client_id and settings.fluent.client_secret
    assert settings.notices == ()


def test_plain_http_beyond_loopback_is_a_notice() -> None:
    assert "travel unencrypted" in load_settings({"FLUENT_BASE_URL": "http://fluent:80"}).notices[0]


def test_a_new_data_directory_is_for_its_user_alone_and_an_existing_one_stays_as_it_is(
    tmp_path: Path,
) -> None:
    created = load_settings({"DATA_DIR": str(tmp_path / "a" / "data")}).own_data_dir()
    assert created.stat().st_mode & 0o777 == 0o700
    shared = tmp_path / "shared"
    shared.mkdir(0o755)
    shared.chmod(0o755)
    assert load_settings({"DATA_DIR": str(shared)}).own_data_dir().stat().st_mode & 0o777 == 0o755
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"^DATA_DIR .*file cannot be used: File exists"):
        load_settings({"DATA_DIR": str(tmp_path / "file")}).own_data_dir()


def test_the_prefix_goes_in_front_of_every_name() -> None:
    assert load_settings({"TOPIC_PREFIX": "t1."}).prefixed("order-placed") == "t1.order-placed"
    assert load_settings({}).prefixed("order-placed") == "order-placed"
