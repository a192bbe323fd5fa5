"""An outage of Kafka speaks once when it begins, and once when it is over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from flashsale.worker import connection as module
from flashsale.worker.connection import Connection

SESSION_S = 6.0


@dataclass
class Watched:
    """A connection whose broker answers when the test says so."""

    now: float = 100.0
    heard_at: float = 100.0
    granted: bool = True
    lines: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.connection = Connection(cast(Any, self), SESSION_S, lambda: self.now)

    def after(self, seconds: float, *, heard: bool = False) -> bool:
        """Whether the broker counts as answering after so many more seconds."""
        for _ in range(round(seconds)):
            self.now += 1
            if heard:
                self.heard_at = self.now
            with capture_logs() as lines:
                self.connection.look()
            self.lines += lines
        return self.connection.answers

    @property
    def told(self) -> list[str]:
        return [line["event"] for line in self.lines]


@pytest.fixture(autouse=True)
def hushed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Whether the libraries were hushed and heard again."""
    calls: list[str] = []

    def hear() -> int:
        calls.append("hear")
        return 1_586

    monkeypatch.setattr(module, "hush_libraries", lambda: calls.append("hush"))
    monkeypatch.setattr(module, "hear_libraries", hear)
    return calls


def test_an_outage_is_two_lines_and_a_count_however_long_it_lasts(hushed: list[str]) -> None:
    watched = Watched()
    assert watched.after(30, heard=True)
    assert watched.after(6)
    assert not watched.after(300)
    assert watched.told == ["kafka_silent"]
    assert watched.after(1, heard=True)
    assert watched.told == ["kafka_silent", "kafka_answers"]
    silent, answers = watched.lines
    assert "flashsale check" in silent["recommendation"]
    assert (answers["seconds"], answers["kept_back"]) == (307.0, 1_586)
    assert hushed == ["hush", "hear"]


def test_the_next_outage_is_told_again() -> None:
    watched = Watched()
    for _ in range(2):
        assert not watched.after(10)
        assert watched.after(10, heard=True)
    assert watched.told == ["kafka_silent", "kafka_answers"] * 2


def test_a_member_that_joins_its_group_waits_for_the_others_and_that_is_no_outage() -> None:
    watched = Watched(granted=False)
    assert watched.after(20)
    assert not watched.after(5)


def test_an_outage_during_which_the_partitions_are_taken_away_stays_one() -> None:
    watched = Watched()
    assert not watched.after(7)
    watched.granted = False
    assert not watched.after(7)
    assert watched.told == ["kafka_silent"]


def test_a_broker_that_never_answers_is_told_too() -> None:
    watched = Watched(heard_at=0.0, granted=False)
    assert not watched.after(30)
