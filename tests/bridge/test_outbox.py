"""The producer behind the routes: whatever becomes of it, no caller waits for ever, and events go on."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

import bridge.outbox
from bridge.outbox import Outbox, Undelivered
from bridge.records import Source
from schemas.topics import ORDER_PLACED
from streams.settings import load_settings

PRODUCE, FETCH, LIST_OFFSETS, METADATA, FIND_COORDINATOR, API_VERSIONS, INIT_PRODUCER_ID = (
    0,
    1,
    2,
    3,
    10,
    18,
    22,
)
VERSIONS = (
    (PRODUCE, 3, 7),
    (FETCH, 4, 11),
    (LIST_OFFSETS, 0, 1),
    (METADATA, 0, 2),
    (FIND_COORDINATOR, 0, 1),
    (API_VERSIONS, 0, 0),
    (INIT_PRODUCER_ID, 0, 1),
)
UNSUPPORTED_VERSION, CLUSTER_AUTHORIZATION_FAILED = 35, 31
OFFSET = 7


class Broker:
    """As much of a broker as an idempotent producer talks to; `refused`: nobody may be idempotent."""

    def __init__(self) -> None:
        self.refused = True
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):  # it is closed
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as requests, suppress(OSError):
            while len(head := requests.read(4)) == 4:
                request = requests.read(*struct.unpack(">i", head))
                key, version, correlation = struct.unpack(">hhi", request[:8])
                answer = struct.pack(">i", correlation) + self._answer(key, version)
                connection.sendall(struct.pack(">i", len(answer)) + answer)

    def _answer(self, key: int, version: int) -> bytes:
        if key == API_VERSIONS:
            each = b"".join(struct.pack(">hhh", *known) for known in VERSIONS)
            return struct.pack(">hi", UNSUPPORTED_VERSION if version else 0, len(VERSIONS)) + each
        if key == METADATA:
            brokers = struct.pack(">ii", 1, 1) + _text("127.0.0.1") + struct.pack(">ih", self.port, -1)
            partition = struct.pack(">hii", 0, 0, 1) + 2 * struct.pack(">ii", 1, 1)
            topic = struct.pack(">ih", 1, 0) + _text(ORDER_PLACED) + b"\0" + struct.pack(">i", 1) + partition
            return brokers + _text("cluster") + struct.pack(">i", 1) + topic
        if key == INIT_PRODUCER_ID:
            return struct.pack(">ihqh", 0, CLUSTER_AUTHORIZATION_FAILED if self.refused else 0, 1, 0)
        assert key == PRODUCE
        return struct.pack(">i", 1) + _text(ORDER_PLACED) + struct.pack(">iihqqqi", 1, 0, 0, OFFSET, -1, 0, 0)


def _text(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()


@pytest.fixture
def broker() -> Iterator[Broker]:
    found = Broker()
    with closing(found.listener):
        yield found


async def test_a_producer_that_fails_for_good_keeps_nobody_waiting_and_another_one_sends_on(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = Outbox(load_settings({"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{broker.port}"}))
    async with asyncio.timeout(30):
        with pytest.raises(Undelivered):
            await outbox.send(ORDER_PLACED, "key", b"{}", "shop")
        with pytest.raises(Undelivered):  # by the producer in its place
            await outbox.send(ORDER_PLACED, "key", b"{}", "shop")
        with pytest.raises(Undelivered, match="authorization failed"):
            await outbox.send(ORDER_PLACED, "key", b"{}", "shop")  # so soon nobody makes a third one
        broker.refused = False
        monkeypatch.setattr(bridge.outbox, "REPLACE_EVERY_S", 0)
        assert await outbox.send(ORDER_PLACED, "key", b"{}", "shop") == Source(ORDER_PLACED, 0, OFFSET)
        await outbox.close()
