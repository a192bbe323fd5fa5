"""`flashsale bridge`: checks what it needs, then serves until SIGTERM."""

from __future__ import annotations

import gc
import os
import resource
import signal
import socket
from dataclasses import dataclass

from confluent_kafka.admin import AdminClient
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from starlette.types import ASGIApp

from bridge.app import build_app
from bridge.events import Events
from bridge.fluent import FluentEvents, load_key
from bridge.inbox import HISTORY
from bridge.operations import ByPort, Operations
from bridge.origins import LoopbackOnly, is_loopback
from bridge.sale.links import Links
from bridge.sale.live import SPARE_VIEWERS
from bridge.sale.pages import Pages, anybody
from bridge.server import BACKLOG, Configuration, Server
from bridge.service import Bridge
from bridge.signing import Guard
from bridge.waiting import MAX_WAIT_S
from schemas.topics import INPUTS
from streams.kafka import CHECK_TIMEOUT_S, check_broker, client_config
from streams.log import get_logger
from streams.settings import ConfigurationError, Settings
from streams.tracing import tracer_of

MAX_CONNECTIONS = 10_000
SPARE_FILES = 400
"""Descriptors left for Kafka, logs and RocksDB, which keeps some 270 files open once both stores are full."""

log = get_logger("bridge")


@dataclass(frozen=True, slots=True)
class Options:
    """The arguments of `flashsale bridge`. A port of 0 is a free one; `operations_port` None: there is none.

    `unsigned` takes requests without a signature, on loopback only. `default_wait_s`: how long callers wait
    that send no `Prefer`.
    """

    host: str
    port: int
    operations_host: str
    operations_port: int | None
    unsigned: bool
    default_wait_s: float | None


def run(settings: Settings, options: Options) -> int:
    """Serve until SIGTERM; returns the exit status. Raises ConfigurationError."""
    _check_options(settings, options)
    fluent_key = _fluent_key(settings)
    check_broker(settings)
    _check_topics(settings)
    listener = _listen(options.host, options.port)
    operations = None
    if options.operations_port is not None:
        operations = _listen(options.operations_host, options.operations_port)
    bridge = Bridge(settings)
    secrets_of = None if options.unsigned else settings.bridge.secrets
    guard = Guard(secrets_of, settings.bridge.clients)
    pages = Pages(bridge.live, Links(secrets_of).require, SPARE_VIEWERS)
    tracer = tracer_of(os.environ, "flashsale-bridge")
    events = Events(bridge, guard, options.default_wait_s or 0, tracer)
    fluent = FluentEvents(bridge, fluent_key, unsigned=options.unsigned)
    app = build_app(bridge, guard, events, fluent, pages)
    for notice in settings.notices:
        log.warning("configuration", notice=notice)
    log.info(
        "bridge_listens",
        url=_url(listener),
        operations_url=None if operations is None else _url(operations),
        unsigned=options.unsigned,
        clients=len(settings.bridge.secrets),
    )
    _serve(app, bridge, listener, operations)
    if tracer is not None:
        tracer.close()
    return 0


def _serve(app: ASGIApp, bridge: Bridge, listener: socket.socket, operations: socket.socket | None) -> None:
    config = Configuration(app, _connections())
    sockets = [listener]
    if operations is not None:
        address, port = operations.getsockname()[:2]
        routes = Operations(bridge.metrics, bridge.not_ready).app(Pages(bridge.live, anybody).routes())
        guarded = LoopbackOnly(routes) if is_loopback(address) else routes
        config = Configuration(ByPort(app, guarded, port), _connections(), port)
        sockets.append(operations)
    # What is there at the start stays: a collection that walked it all would halt every request for 0.15 s.
    gc.collect()
    gc.freeze()
    server = Server(config, bridge.begin_to_stop)
    # Before uvicorn listens to the signal it must not be lost. After a clean shutdown uvicorn raises it once
    # more, and the exit status says that it was clean.
    signal.signal(signal.SIGTERM, lambda *_: server.leave())
    server.run(sockets)


def _check_options(settings: Settings, options: Options) -> None:
    if options.unsigned and not is_loopback(options.host):
        raise ConfigurationError(
            f"--unsigned takes requests from anybody, so it binds to loopback only, and {options.host} "
            "is not; use --host 127.0.0.1, or set BRIDGE_SECRETS and leave --unsigned out."
        )
    if not options.unsigned and not settings.bridge.secrets:
        raise ConfigurationError(
            "BRIDGE_SECRETS is not set, so nobody could sign a request; set it to client:secret, "
            "or use --unsigned for development on this machine."
        )
    if options.default_wait_s is not None and options.default_wait_s > MAX_WAIT_S:
        raise ConfigurationError(
            f"--default-wait is at most {MAX_WAIT_S} seconds, but is {options.default_wait_s:g}."
        )
    if options.operations_port and options.operations_port == options.port:
        raise ConfigurationError(
            f"--operations-port is {options.port}, as --port is; the two need different ports."
        )
    _check_clients(settings)


def _check_clients(settings: Settings) -> None:
    unknown = sorted(set(settings.bridge.clients) - set(settings.bridge.secrets))
    if unknown:
        raise ConfigurationError(
            f"BRIDGE_CLIENTS names {', '.join(unknown)}, but BRIDGE_SECRETS has no secret for it; "
            "name each client alike in both."
        )


def _fluent_key(settings: Settings) -> RSAPublicKey | None:
    file = settings.bridge.fluent_public_key_file
    if file is None:
        return None
    if settings.fluent.account is None:
        raise ConfigurationError(
            "BRIDGE_FLUENT_PUBLIC_KEY_FILE is set, but FLUENT_ACCOUNT is not; Fluent signs for every account "
            "with the same key, so the bridge has to know which one is yours."
        )
    return load_key(file)


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
        listener.listen(BACKLOG)  # before the log says so: a caller that comes at once is not refused
    except OSError as error:
        raise ConfigurationError(f"Cannot listen on {host} port {port}: {error.strerror}.") from None
    except UnicodeError:
        raise ConfigurationError(f"Cannot listen on {host}: it is neither an address nor a name.") from None
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
