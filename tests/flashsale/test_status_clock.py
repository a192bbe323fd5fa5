"""`flashsale status` tells ages by the brokers' time, which workers write into their notes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import TopicPartition

from flashsale.notes import Note, note_in
from flashsale.status import clock
from flashsale.status.clock import ahead_of_brokers
from flashsale.status.report import status_report
from schemas.times import milliseconds
from streams.settings import load_settings
from streams.system import now_ms
from tests.support.system import System, wait_until

NOW_MS = 1_764_320_400_000


def note(at_ms: int | None) -> Note:
    return Note("w-1", None, at_ms, "closed", 0, 0)


def written(*at_ms: int | None) -> Callable[[], list[Note]]:
    """What is read one time after the other."""
    times: Iterator[int | None] = iter(at_ms)
    return lambda: [note(next(times))]


@pytest.fixture
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "AGAIN_EVERY_S", 0.0)


@pytest.mark.parametrize("told", [[], [note(None)], [note(NOW_MS - 9_000)]])
def test_a_clock_that_may_be_right_is_taken_as_it_is(told: list[Note]) -> None:
    assert ahead_of_brokers(lambda: NOW_MS, written(), told=told, alive=True) == 0


@pytest.mark.usefixtures("without_pauses")
@pytest.mark.parametrize("ahead_ms", [60_000, -60_000])
def test_a_clock_that_does_not_fit_is_measured_by_the_next_note(ahead_ms: int) -> None:
    at_ms = NOW_MS - ahead_ms
    read = written(at_ms - 4_000, None, at_ms)
    assert ahead_of_brokers(lambda: NOW_MS, read, told=[note(at_ms - 4_000)], alive=True) == ahead_ms


@pytest.mark.usefixtures("without_pauses")
def test_a_note_that_was_late_says_nothing_against_the_clock() -> None:
    read = written(NOW_MS - 300)
    assert ahead_of_brokers(lambda: NOW_MS, read, told=[note(NOW_MS - 30_000)], alive=True) == 0


@pytest.mark.parametrize(("at_ms", "ahead_ms"), [(NOW_MS - 60_000, 0), (NOW_MS + 60_000, -60_000)])
def test_without_a_worker_only_what_is_certain_counts(at_ms: int, ahead_ms: int) -> None:
    assert ahead_of_brokers(lambda: NOW_MS, written(), told=[note(at_ms)], alive=False) == ahead_ms


def test_what_is_no_note_is_none() -> None:
    for metadata in ("", '{"ids":["a"],"generation":7}', "no"):
        assert note_in(TopicPartition("fluent-requests", 0, 1, metadata)) is None
    assert note_in(TopicPartition("fluent-requests", 0, 1, note(NOW_MS).encode()[:-1])) == note(NOW_MS)


@pytest.mark.parametrize("ahead_s", [3_600, -3_600])
def test_with_a_clock_that_is_wrong_ages_are_right_and_the_report_says_so(
    sale: System, monkeypatch: pytest.MonkeyPatch, ahead_s: int
) -> None:
    monkeypatch.setattr(clock, "WRITTEN_WITHIN_S", 60.0)  # a busy machine writes its notes late
    settings = load_settings(sale.environment())

    def told() -> bool:
        workers = status_report(settings, now_ms).group.workers
        return bool(workers) and all(each.told_at for each in workers)

    wait_until(told, "a note with the brokers' time", 90)
    right = status_report(settings, now_ms)
    wrong = status_report(settings, lambda: now_ms() + 1_000 * ahead_s)
    assert right.clock_ahead_seconds is None
    assert wrong.clock_ahead_seconds == pytest.approx(ahead_s, abs=60)
    assert abs(milliseconds(wrong.at) - milliseconds(right.at)) < 120_000
    assert [each.subject for each in wrong.attention] == [each.subject for each in right.attention]
