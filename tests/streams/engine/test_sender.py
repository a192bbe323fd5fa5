"""The producer of ticks and of Fluent's answers."""

from __future__ import annotations

import threading

from streams.engine.sender import Sender
from tests.bridge.test_outbox import Broker


def test_a_producer_that_fails_for_good_is_told() -> None:
    """Seen with a broker that lets nobody be idempotent: librdkafka says so by an exception of `poll`, which
    ended the thread that polls. No append time was heard any more, and nobody was told."""
    broker = Broker()
    sender = Sender({"bootstrap.servers": f"127.0.0.1:{broker.port}"}, str)
    told, failures = threading.Event(), list[str]()

    def failed(why: str) -> None:
        failures.append(why)
        told.set()

    sender.on_failed = failed
    sender.to_partition("sku-commands", 0, b"tick")
    assert told.wait(20)
    assert "authorization failed" in failures[0]
    sender.close(0.1)
    broker.listener.close()
