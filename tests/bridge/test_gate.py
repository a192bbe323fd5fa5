"""What is under way at the same time, and what gives way: events and strangers, each with a budget."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, closing

import pytest
from starlette.requests import Request

from bridge import gate
from bridge.gate import BODY_S, MAX_EVENTS, Gate, Strangers
from bridge.problems import Problem
from tests.bridge.process import BridgeProcess, Caller, placed, signed
from tests.bridge.sockets import PATH, connect, head, read_answer


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """A gate for one event of 100 bytes; strangers: three, two of an address, 100 bytes."""
    monkeypatch.setattr(gate, "MAX_EVENTS", 1)
    monkeypatch.setattr(gate, "MAX_BYTES", 100)
    monkeypatch.setattr(gate, "MAX_STRANGERS", 3)
    monkeypatch.setattr(gate, "MAX_STRANGERS_PER_ADDRESS", 2)
    monkeypatch.setattr(gate, "MAX_STRANGER_BYTES", 100)
    return Gate()


def test_more_events_than_the_bridge_takes_are_503_until_there_is_room(narrow: Gate) -> None:
    with narrow.one_event(1):
        with pytest.raises(Problem) as refused, narrow.one_event(1):
            pass
        assert refused.value.status == 503 and refused.value.headers["Retry-After"]
    with narrow.one_event(1):
        assert narrow.events == 1
    assert narrow.events == 0


def test_more_bytes_than_the_bridge_takes_are_503_and_are_given_back(narrow: Gate) -> None:
    with pytest.raises(Problem) as refused, narrow.one_event(101):
        pass
    assert refused.value.status == 503 and narrow.bytes == 0
    with narrow.one_event(100):
        assert narrow.bytes == 100
    assert narrow.bytes == 0


class Slow:
    """A stranger of `address` whose body comes in when the test says so."""

    def __init__(self, strangers: Strangers, address: str) -> None:
        self._chunks: asyncio.Queue[tuple[bytes, bool]] = asyncio.Queue()
        scope = {"type": "http", "method": "POST", "headers": [], "client": (address, 1)}
        self.reading = asyncio.create_task(strangers.read(Request(scope, self._receive)))

    async def send(self, body: bytes, *, more: bool) -> None:
        """Send some of the body, and let the bridge read it."""
        self._chunks.put_nowait((body, more))
        await settle()

    async def _receive(self) -> dict[str, object]:
        body, more = await self._chunks.get()
        return {"type": "http.request", "body": body, "more_body": more}

    @property
    def status(self) -> int:
        """0: it still reads; 200: it is read; else how it was refused."""
        if not self.reading.done():
            return 0
        failure = self.reading.exception()
        return failure.status if isinstance(failure, Problem) else 200


async def settle() -> None:
    """Let every task come as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def slow_clients(strangers: Strangers, *addresses: str) -> list[Slow]:
    found = []
    for address in addresses:
        found.append(Slow(strangers, address))
        await settle()
    return found


async def test_too_many_strangers_of_an_address_cost_its_oldest_and_nobody_else(narrow: Gate) -> None:
    clients = await slow_clients(narrow.strangers, "there", "here", "here", "here")
    assert [client.status for client in clients] == [0, 503, 0, 0]
    for client in clients[2:]:
        await client.send(b"body", more=False)
    assert [await client.reading for client in clients[2:]] == [b"body", b"body"]
    clients[0].reading.cancel()
    await settle()
    assert (narrow.strangers.count, narrow.strangers.bytes) == (0, 0)


async def test_too_many_strangers_cost_the_oldest_of_the_address_that_has_most(narrow: Gate) -> None:
    clients = await slow_clients(narrow.strangers, "there", "here", "here", "elsewhere")
    assert [client.status for client in clients] == [0, 503, 0, 0]
    for client in clients:
        client.reading.cancel()
    await settle()


async def test_too_many_bytes_of_strangers_cost_the_address_that_sent_most(narrow: Gate) -> None:
    large, small = await slow_clients(narrow.strangers, "here", "there")
    await large.send(b"x" * 90, more=True)
    await small.send(b"x" * 20, more=True)
    assert (large.status, small.status) == (503, 0)
    await small.send(b"x" * 20, more=False)
    assert (await small.reading, narrow.strangers.bytes) == (b"x" * 40, 0)
    alone = Slow(narrow.strangers, "here")
    await alone.send(b"x" * 101, more=False)
    assert alone.status == 503
    assert (narrow.strangers.count, narrow.strangers.bytes) == (0, 0)


async def test_the_newest_is_let_in_at_the_very_moment_at_which_the_oldest_has_been_too_slow(
    narrow: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "BODY_S", 0.05)
    slow = await slow_clients(narrow.strangers, "here", "here")
    deadline = next(iter(narrow.strangers._by_address["here"])).timeout.when()
    newest: list[Slow] = []
    # In the same turn of the event loop: the newest runs before the oldest hears that its time is over.
    at = deadline - 1e-6 if deadline else 0.0
    asyncio.get_running_loop().call_at(at, lambda: newest.append(Slow(narrow.strangers, "here")))
    await asyncio.wait({slow[0].reading})
    await newest[0].send(b"body", more=False)
    assert await newest[0].reading == b"body"
    slow[1].reading.cancel()
    await settle()
    assert (slow[0].status, narrow.strangers.count, narrow.strangers.bytes) == (503, 0, 0)


STRANGERS = MAX_EVENTS + 50


def test_requests_that_nobody_signed_keep_no_signed_order_out(
    bridge: BridgeProcess, caller: Caller, many_files: None
) -> None:
    junk = head(b"another body", "Content-Length: 500")
    with ExitStack() as stack:
        for _ in range(STRANGERS):
            stack.enter_context(connect(bridge.address)).sendall(junk)
        for number in range(20):
            assert caller.post(PATH, placed(f"NOT-KEPT-OUT-{number}")).status_code == 202


CLAIMS = {
    "an unknown client": {"X-Client-Id": "nobody"},
    "a clock that is far off": {"X-Timestamp": "1000000000"},
    "a timestamp that is none": {"X-Timestamp": "now"},
    "a signature of another form": {"X-Signature": "sha256=abc"},
}


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_what_cannot_be_signed_correctly_is_401_before_its_body_comes(
    bridge: BridgeProcess, claim: dict[str, str]
) -> None:
    headers = {"Host": "x", "Content-Length": "500", **signed("POST", PATH), **claim}
    lines = [f"POST {PATH} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    with closing(connect(bridge.address)) as connection:
        connection.settimeout(BODY_S / 2)
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        assert read_answer(connection)[0].startswith(b"HTTP/1.1 401 ")


def test_fluents_route_reads_no_body_where_no_key_is_configured(bridge: BridgeProcess) -> None:
    with closing(connect(bridge.address)) as connection:
        connection.settimeout(BODY_S / 2)
        connection.sendall(
            b"POST /fluent-events HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nfluent-signature: eA==\r\n\r\n"
        )
        assert read_answer(connection)[0].startswith(b"HTTP/1.1 401 ")
