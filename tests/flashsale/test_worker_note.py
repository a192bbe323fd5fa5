"""What a worker writes about itself for `flashsale status`."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from agents.broker_time import BrokerTime
from agents.dead_letter_limit import DeadLetterLimit
from flashsale.notes import Note, note_in
from flashsale.worker.note import NoteWriter
from fluent import Meters
from streams.engine.clock import FRESH_S
from streams.engine.ownership import Membership
from tests.flashsale.test_status_clock import beside

BROKERS_MS = 1_700_000_000_000
NO_HURRY_MS = 100_000


def written(brokers: BrokerTime) -> Note:
    engine: Any = SimpleNamespace(protocol=SimpleNamespace(member=Membership(1, "w-1")), tasks={})
    note = note_in(beside(NoteWriter(engine, brokers, Meters(), DeadLetterLimit(0)).of(0)))
    assert note is not None
    return note


def test_the_brokers_time_is_told_while_it_was_heard_lately() -> None:
    brokers = BrokerTime(lambda *_: None)
    assert written(brokers).at_ms is None
    brokers.heard(BROKERS_MS, 0.0, time.monotonic(), BROKERS_MS)
    assert written(brokers).at_ms == pytest.approx(BROKERS_MS, abs=NO_HURRY_MS)
    long_ago = BrokerTime(lambda *_: None)
    long_ago.heard(BROKERS_MS, 0.0, time.monotonic() - FRESH_S, BROKERS_MS)
    assert written(long_ago).at_ms is None
