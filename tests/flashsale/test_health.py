"""A worker's health port: what it answers, and that nobody who reaches it can keep others from an answer."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge

from flashsale.worker import health
from streams.settings import ConfigurationError
from tests.support.system import wait_until

PATHS = ("/healthz", "/readyz", "/metrics", "/nothing")
DEADLINE_S = 10.0


@dataclass
class Probed:
    """A health port whose readiness the test sets."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    ready: bool = False

    def serve(self, host: str = "127.0.0.1", port: int = 0) -> str:
        return health.serve(
            host, port, self.registry, lambda: (True, "alive"), lambda: (self.ready, "so it is")
        )


@pytest.fixture
def probed() -> Probed:
    found = Probed()
    Counter("sold", "Units", registry=found.registry).inc(3)
    return found


@pytest.fixture
def address(probed: Probed) -> str:
    return probed.serve()


@pytest.fixture
def connections(address: str) -> Iterator[Connections]:
    with ExitStack() as stack:
        yield Connections(urlsplit(address).port or 0, stack)


@dataclass
class Connections:
    """Connections to the port that say only what the test wants."""

    port: int
    stack: ExitStack

    def open(self, said: bytes = b"") -> socket.socket:
        connection = self.stack.enter_context(socket.socket())
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.settimeout(DEADLINE_S)
        connection.connect(("127.0.0.1", self.port))
        connection.sendall(said)
        return connection


def has_ended(connection: socket.socket) -> bool:
    connection.settimeout(0)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def is_well(address: str) -> None:
    assert httpx.get(f"{address}/healthz", timeout=2).text == "alive\n"


def test_each_path_answers_what_it_is_for(probed: Probed, address: str) -> None:
    answers = [httpx.get(f"{address}{path}") for path in PATHS]
    assert [answer.status_code for answer in answers] == [200, 503, 200, 404]
    assert answers[1].text == "so it is\n"
    assert "sold_total 3.0" in answers[2].text
    probed.ready = True
    assert httpx.get(f"{address}/readyz").status_code == 200


@pytest.mark.parametrize("path", PATHS)
def test_head_has_the_status_of_get_and_no_body(address: str, path: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=DEADLINE_S)
    with ExitStack() as stack:
        stack.callback(connection.close)
        connection.request("HEAD", path)
        assert connection.sock is not None
        head, _, body = b"".join(iter(lambda: connection.sock.recv(4_096), b"")).partition(b"\r\n\r\n")
    assert body == b""
    assert head.split()[1] == b"%d" % httpx.get(f"{address}{path}").status_code


def test_what_is_neither_get_nor_head_is_refused(address: str) -> None:
    answer = httpx.post(f"{address}/healthz", content=b"x" * 100_000)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


def test_silent_connections_keep_nobody_waiting(address: str, connections: Connections) -> None:
    for said in (b"", b"GET /he", b"GET /healthz HTTP/1.1\r\n") * 5:
        connections.open(said)
    is_well(address)


def test_a_silent_connection_is_closed(monkeypatch: pytest.MonkeyPatch, connections: Connections) -> None:
    monkeypatch.setattr(health, "CONNECTION_S", 0.2)
    for silent in [connections.open(said) for said in (b"", b"GET /he", b"GET /healthz HTTP/1.1\r\n")]:
        assert silent.recv(1) == b""


def test_who_does_not_read_the_answer_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, probed: Probed, address: str, connections: Connections
) -> None:
    monkeypatch.setattr(health, "CONNECTION_S", 0.5)
    gauge = Gauge("large", "More than the system buffers", ["number"], registry=probed.registry)
    for number in range(60_000):
        gauge.labels(f"{number:060}").set(1)
    slow = connections.open(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    is_well(address)
    with pytest.raises(ConnectionError):
        wait_until(lambda: slow.send(b"x") == 0, "it is cut off", DEADLINE_S)


def test_the_newest_connections_find_a_place(address: str, connections: Connections) -> None:
    silent = [connections.open() for _ in range(3 * health.MAX_CONNECTIONS)]
    is_well(address)
    oldest = silent[: 2 * health.MAX_CONNECTIONS]
    wait_until(lambda: all(map(has_ended, oldest)), "the oldest were closed", health.CONNECTION_S / 2)
    assert not has_ended(silent[-1])


@pytest.mark.parametrize(
    "said",
    [
        b"\x16\x03\x01 garbage\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 20_000,
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
    ids=["garbage", "endless headers", "upgrade"],
)
def test_a_stranger_leaves_no_trace_in_the_log(
    address: str, connections: Connections, caplog: pytest.LogCaptureFixture, said: bytes
) -> None:
    stranger = connections.open()
    try:
        stranger.sendall(said)
        while stranger.recv(4_096):
            pass
    except ConnectionError:
        pass  # it was cut off while it still sent
    is_well(address)
    assert caplog.text == ""


def test_it_listens_where_it_is_told_and_a_port_that_is_taken_is_one_sentence(probed: Probed) -> None:
    address = probed.serve("::1")
    assert address.startswith("http://[::1]:")
    is_well(address)
    with pytest.raises(ConfigurationError, match=r"--health-port \d+ on ::1 cannot be used: Address"):
        probed.serve("::1", urlsplit(address).port or 0)
