"""`/healthz`, `/readyz` and `/metrics` of a worker, in a thread of its own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from streams.settings import ConfigurationError

State = Callable[[], tuple[bool, str]]


class _Quiet(WSGIRequestHandler):
    timeout = 5

    def log_message(self, format: str, *args: Any) -> None:
        """Probes are not worth a line each."""


class _Server(WSGIServer):
    daemon_threads = True
    request_queue_size = 16


def serve(port: int, registry: CollectorRegistry, alive: State, ready: State, host: str = "127.0.0.1") -> int:
    """Serve in the background; returns the port (a free one for 0). Raises ConfigurationError."""
    metrics = make_wsgi_app(registry)

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            answered: Iterable[bytes] = metrics(environ, start_response)
            return answered
        state = {"/healthz": alive, "/readyz": ready}.get(path)
        ok, text = (False, "not found: /healthz, /readyz and /metrics are here") if state is None else state()
        status = "404 Not Found" if state is None else "200 OK" if ok else "503 Service Unavailable"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{text}\n".encode()]

    try:
        server = make_server(host, port, app, server_class=_Server, handler_class=_Quiet)
    except (OSError, socket.gaierror) as error:
        raise ConfigurationError(
            f"--health-port {port} on {host} can not be used: {error.strerror or error}."
        ) from None
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return int(server.server_port)
