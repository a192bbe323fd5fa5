"""`flashsale bridge`: checks what it needs, then serves until SIGTERM."""

from __future__ import annotations

import gc
import resource
import signal
import socket
from ipaddress import ip_address

from confluent_kafka.admin import AdminClient
from starlette.types import ASGIApp

from bridge.app import build_app
from bridge.events import Events
from bridge.fluent import FluentEvents, load_key
from bridge.inbox import HISTORY
from bridge.server import BACKLOG, Server, configuration
from bridge.service import Bridge
from bridge.signing import Guard, Signatures
from bridge.waiting import MAX_WAIT_S
from schemas.topics import INPUTS
from streams.kafka import CHECK_TIMEOUT_S, check_broker, client_config
from streams.log import get_logger
from streams.settings import ConfigurationError, Settings

MAX_CONNECTIONS = 10_000
SPARE_FILES = 200
"""Descriptors left for Kafka, RocksDB and logs."""

log = get_logger("bridge")


def run(settings: Settings, host: str, port: int, unsigned: bool, default_wait: float | None) -> int:
    """Serve on `host` and `port` (0: a free one) until SIGTERM; returns the exit status.

    `unsigned` takes requests without a signature, on loopback only. `default_wait` is how many seconds
    callers wait that send no `Prefer`. Raises ConfigurationError.
    """
    _check_arguments(settings, host, unsigned, default_wait)
    fluent_key_file = settings.bridge.fluent_public_key_file
    fluent_key = load_key(fluent_key_file) if fluent_key_file is not None else None
    check_broker(settings)
    _check_topics(settings)
    listener = _listen(host, port)
    bridge = Bridge(settings)
    guard = Guard(None if unsigned else Signatures(settings.bridge.secrets))
    events = Events(bridge, guard, default_wait or 0)
    app = build_app(bridge, guard, events, FluentEvents(bridge, fluent_key, unsigned=unsigned))
    for notice in settings.notices:
        log.warning("configuration", notice=notice)
    log.info("bridge_listens", url=_url(listener), unsigned=unsigned, clients=len(settings.bridge.secrets))
    _serve(app, bridge, listener)
    return 0


def _serve(app: ASGIApp, bridge: Bridge, listener: socket.socket) -> None:
    config = configuration(app, _connections())
    # What is there at the start stays: a collection that walked it all would halt every request for 0.15 s.
    gc.collect()
    gc.freeze()
    # uvicorn raises the signal again after a clean shutdown; the exit status says that it was clean.
    signal.signal(signal.SIGTERM, lambda *_: None)
    Server(config, bridge.begin_to_stop).run([listener])


def _check_arguments(settings: Settings, host: str, unsigned: bool, default_wait: float | None) -> None:
    if unsigned and not _is_loopback(host):
        raise ConfigurationError(
            f"--unsigned takes requests from anybody, so it binds to loopback only, and {host} is not; "
            "use --host 127.0.0.1, or set BRIDGE_SECRETS and leave --unsigned out."
        )
    if not unsigned and not settings.bridge.secrets:
        raise ConfigurationError(
            "BRIDGE_SECRETS is not set, so nobody could sign a request; set it to client:secret, "
            "or use --unsigned for development on this machine."
        )
    if default_wait is not None and default_wait > MAX_WAIT_S:
        raise ConfigurationError(f"--default-wait is at most {MAX_WAIT_S} seconds, but is {default_wait:g}.")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_topics(settings: Settings) -> None:
    found = AdminClient(client_config(settings)).list_topics(timeout=CHECK_TIMEOUT_S).topics
    names = [settings.prefixed(topic) for topic in (*INPUTS, *HISTORY)]
    missing = [name for name in names if name not in found]
    if missing:
        raise ConfigurationError(f"Topics do not exist: {', '.join(missing)}; create them: flashsale topics.")


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)  # before the log says so: who comes at once waits, and is not refused
    except OSError as error:
        raise ConfigurationError(f"Cannot listen on {host} port {port}: {error.strerror}.") from None
    listener.setblocking(False)
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _connections() -> int:
    """As many as the process may have files open, once it has asked for all that it may get."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + SPARE_FILES
    allowed = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        soft = allowed
    limit = wanted if soft == resource.RLIM_INFINITY else soft
    return max(1, min(MAX_CONNECTIONS, limit - SPARE_FILES))
