"""Secrets and addresses: what comes from the environment and from nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
)

from schemas.invalid import sentence
from streams.settings.errors import ConfigurationError
from streams.settings.logins import OAUTH, Mechanism, check_login
from streams.settings.secrets import (
    ClientSecrets,
    from_file,
    shared_weaknesses,
    unlimited_webhooks,
    weaknesses,
)

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
DEFAULT_KAFKA_PORT = 9092


def _servers(text: str) -> str:
    """`host:port,…`, each with its port; a server without one gets Kafka's usual 9092."""
    servers = [_server(part.strip()) for part in text.split(",") if part.strip()]
    if not servers or None in servers:
        raise ValueError("must be host:port, or several with commas between")
    return ",".join(filter(None, servers))


def _server(text: str) -> str | None:
    try:
        parts = urlsplit(f"//{text}")
        port = parts.port or DEFAULT_KAFKA_PORT
    except ValueError:
        return None
    if not parts.hostname or parts.path or parts.query or "@" in parts.netloc or " " in text:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{host}:{port}"


def _http_url(text: str) -> str:
    """An absolute http(s) URL without credentials, query or trailing slash."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment:
        raise ValueError("must be a URL like https://ACCOUNT.api.fluentretail.com")
    if "@" in parts.netloc:
        raise ValueError("must not contain a login; FLUENT_USERNAME and FLUENT_PASSWORD are for that")
    return text.rstrip("/")


def _token_url(text: str) -> str:
    """An absolute http(s) URL without a login."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError("must be a URL like https://login.example.com/oauth2/token")
    return text


def _readable(file: Path) -> Path:
    try:
        with file.open("rb"):
            return file
    except OSError as error:
        raise ValueError(f"must be a readable file ({error.strerror})") from None


CLIENT_ROUTES = frozenset({"start", "consume", "cancel", "end"})
"""The bridge's routes that a client can be limited to."""


def _client_routes(text: object) -> object:
    """`client:route,route;client:route` as client to the routes that it may use."""
    if not isinstance(text, str):
        return text
    routes: dict[str, frozenset[str]] = {}
    for entry in filter(None, map(str.strip, text.split(";"))):
        client, _, names = entry.partition(":")
        given = frozenset(name.strip() for name in names.split(","))
        if not client or client in routes or not given <= CLIENT_ROUTES:
            known = ", ".join(sorted(CLIENT_ROUTES))
            raise ValueError(f"must be client:route,route;… with each client once, and of the routes {known}")
        routes[client] = given
    return routes


BootstrapServers = Annotated[str, AfterValidator(_servers)]
TokenUrl = Annotated[str, AfterValidator(_token_url)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
ReadableFile = Annotated[Path, AfterValidator(_readable)]
ClientRoutes = Annotated[dict[str, frozenset[str]], BeforeValidator(_client_routes)]
TopicPrefix = Annotated[str, StringConstraints(max_length=100, pattern=r"^[A-Za-z0-9._-]*$")]


class Environment(BaseModel):
    """Base: variables by their names, unset and empty ones alike, values never shown in a repr of errors."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """The variables of this group. Raises ConfigurationError that names the variable."""
        given = {name: value for name, value in environ.items() if value}
        given |= {name: text for name in cls.secret_names() if (text := from_file(name, given))}
        hidden = {*cls.secret_names(), *(name for name, value in given.items() if "@" in value)}
        try:
            return cls.model_validate(given)
        except ValidationError as failure:
            raise ConfigurationError(sentence(failure, "The environment", hidden)) from None

    @classmethod
    def secret_names(cls) -> tuple[str, ...]:
        """The variables of this group that hold secrets; `NAME_FILE` may name a file with one instead."""
        fields = cls.model_fields.values()
        return tuple(str(field.alias) for field in fields if "SecretStr" in str(field.annotation))

    def notices(self) -> list[str]:
        """What is allowed in this group, but should be known; no secret is shown."""
        secrets = ((name, getattr(self, field)) for name, field in self._secret_fields())
        return [
            f"{name} {weakness}."
            for name, secret in secrets
            if isinstance(secret, SecretStr)
            for weakness in weaknesses(secret.get_secret_value())
        ]

    @classmethod
    def _secret_fields(cls) -> list[tuple[str, str]]:
        names = cls.secret_names()
        return [(str(field.alias), name) for name, field in cls.model_fields.items() if field.alias in names]

    @classmethod
    def variables(cls) -> tuple[str, ...]:
        """The names of the variables of this group."""
        return tuple(str(field.alias) for field in cls.model_fields.values())


_IN_THE_CLEAR = {"PLAIN": "the password", OAUTH: "the token"}
"""What a login without encryption gives away."""


def _is_open(url: str) -> bool:
    """Whether what is sent to a URL can be read on the way."""
    return url.startswith("http://") and urlsplit(url).hostname not in LOOPBACK


class KafkaEnvironment(Environment):
    """Where the broker is and how to log in."""

    bootstrap_servers: BootstrapServers | None = Field(None, alias="KAFKA_BOOTSTRAP_SERVERS")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", alias="KAFKA_SECURITY_PROTOCOL"
    )
    sasl_mechanism: Mechanism | None = Field(None, alias="KAFKA_SASL_MECHANISM")
    sasl_username: str | None = Field(None, alias="KAFKA_SASL_USERNAME")
    sasl_password: SecretStr | None = Field(None, alias="KAFKA_SASL_PASSWORD")
    oauth_token_url: TokenUrl | None = Field(None, alias="KAFKA_OAUTH_TOKEN_URL")
    oauth_client_id: str | None = Field(None, alias="KAFKA_OAUTH_CLIENT_ID")
    oauth_client_secret: SecretStr | None = Field(None, alias="KAFKA_OAUTH_CLIENT_SECRET")
    oauth_scope: str | None = Field(None, alias="KAFKA_OAUTH_SCOPE")
    ssl_ca_location: ReadableFile | None = Field(None, alias="KAFKA_SSL_CA_LOCATION")
    ssl_certificate_location: ReadableFile | None = Field(None, alias="KAFKA_SSL_CERTIFICATE_LOCATION")
    ssl_key_location: ReadableFile | None = Field(None, alias="KAFKA_SSL_KEY_LOCATION")

    @property
    def uses_sasl(self) -> bool:
        """Whether clients log in."""
        return self.security_protocol.startswith("SASL_")

    @property
    def uses_ssl(self) -> bool:
        """Whether connections are encrypted."""
        return self.security_protocol.endswith("SSL")

    def check(self) -> None:
        """Raises ConfigurationError for variables that contradict each other."""
        self._need_each_other("KAFKA_SSL_CERTIFICATE_LOCATION", "KAFKA_SSL_KEY_LOCATION")
        protocol = self.security_protocol
        for name in self._names("KAFKA_SSL_"):
            if self._value(name) is not None and not self.uses_ssl:
                raise ConfigurationError(
                    f"{name} is set, but KAFKA_SECURITY_PROTOCOL={protocol} does not use it."
                )
        check_login(protocol, {name: self._value(name) for name in self._names("KAFKA_")})

    def notices(self) -> list[str]:
        """Weak secrets, and a login that travels where others can read it."""
        found = super().notices()
        hosts = [urlsplit(f"//{server}").hostname for server in (self.bootstrap_servers or "").split(",")]
        if self.security_protocol == "SASL_PLAINTEXT" and not LOOPBACK.issuperset(filter(None, hosts)):
            what = _IN_THE_CLEAR.get(self.sasl_mechanism or "", "every record")
            found.append(
                f"KAFKA_SECURITY_PROTOCOL is SASL_PLAINTEXT: {what} travels unencrypted; use SASL_SSL."
            )
        if self.oauth_token_url is not None and _is_open(self.oauth_token_url):
            url = self.oauth_token_url
            found.append(
                f"KAFKA_OAUTH_TOKEN_URL is {url}: the client's secret travels unencrypted; use https://."
            )
        return found

    def _names(self, prefix: str) -> list[str]:
        return [name for name in self.variables() if name.startswith(prefix)]

    def _value(self, name: str) -> object:
        return getattr(self, name.removeprefix("KAFKA_").lower())

    def _need_each_other(self, one: str, other: str) -> None:
        for given, missing in ((one, other), (other, one)):
            if self._value(given) is not None and self._value(missing) is None:
                raise ConfigurationError(f"{given} is set, but {missing} is not; each needs the other.")


class FluentEnvironment(Environment):
    """Where Fluent is and how to log in."""

    base_url: HttpUrl | None = Field(None, alias="FLUENT_BASE_URL")
    account: str | None = Field(None, alias="FLUENT_ACCOUNT")
    client_id: str | None = Field(None, alias="FLUENT_CLIENT_ID")
    client_secret: SecretStr | None = Field(None, alias="FLUENT_CLIENT_SECRET")
    username: str | None = Field(None, alias="FLUENT_USERNAME")
    password: SecretStr | None = Field(None, alias="FLUENT_PASSWORD")

    @property
    def is_loopback(self) -> bool:
        """Whether Fluent is on this machine, which only the simulator is."""
        return self.base_url is not None and urlsplit(self.base_url).hostname in LOOPBACK

    @property
    def is_plain_http(self) -> bool:
        """Whether credentials would travel unencrypted."""
        return self.base_url is not None and self.base_url.startswith("http://")

    def or_simulator(self) -> FluentEnvironment:
        """On loopback, which only the simulator is, what is not set is filled in: it takes any login."""
        if not self.is_loopback:
            return self
        made_up = {"account": "SIMULATOR", "client_id": "simulator", "client_secret": SecretStr("simulator")}
        unset = {name: value for name, value in made_up.items() if getattr(self, name) is None}
        return self.model_copy(update=unset)

    def missing(self) -> list[str]:
        """Variables that a login needs and that are not set; user and password may both be absent."""
        needed: dict[str, object] = {
            "FLUENT_BASE_URL": self.base_url,
            "FLUENT_ACCOUNT": self.account,
            "FLUENT_CLIENT_ID": self.client_id,
            "FLUENT_CLIENT_SECRET": self.client_secret,
        }
        if self.username is not None or self.password is not None:
            needed |= {"FLUENT_USERNAME": self.username, "FLUENT_PASSWORD": self.password}
        return [name for name, value in needed.items() if value is None]


class BridgeEnvironment(Environment):
    """Who may use the HTTP bridge: each client's secrets and, where limited, its routes; Fluent's key."""

    secrets: ClientSecrets = Field(default_factory=dict, alias="BRIDGE_SECRETS")
    clients: ClientRoutes = Field(default_factory=dict, alias="BRIDGE_CLIENTS")
    fluent_public_key_file: ReadableFile | None = Field(None, alias="BRIDGE_FLUENT_PUBLIC_KEY_FILE")

    def notices(self) -> list[str]:
        """Secrets that can be guessed or that two clients share, webhooks that fit more than one route."""
        return shared_weaknesses(self.secrets) + unlimited_webhooks(self.secrets, self.clients)


class ProcessEnvironment(Environment):
    """What else a process takes from its environment."""

    data_dir: Path = Field(Path("data"), alias="DATA_DIR")
    topic_prefix: TopicPrefix = Field("", alias="TOPIC_PREFIX")
    config_path: Path | None = Field(None, alias="RESERVATION_CONFIG")
