"""`flashsale status` tells ages by the brokers' time, which workers write into their notes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from msgspec.structs import replace

from flashsale.admin.group import Group, Member
from flashsale.notes import END, Note, note_in
from flashsale.status import clock
from flashsale.status.clock import ahead_of_brokers
from flashsale.status.report import status_report
from schemas.times import LAST_MS, milliseconds
from streams.settings import load_settings
from streams.system import now_ms
from tests.support.system import System, wait_until

NOW_MS = 1_764_320_400_000


def note(at_ms: int | None, member: str = "w-1") -> Note:
    return Note(member, None, at_ms, "closed", 0, 0)


def group(*notes: Note) -> Group:
    """One worker, and these notes beside its offsets."""
    return Group(
        "STABLE", (Member("w-1", "10.0.0.1", ()),), {}, {("x", task): each for task, each in enumerate(notes)}
    )


def written(*at_ms: int | None) -> Callable[[], list[Note]]:
    """What is read one time after the other."""
    times: Iterator[int | None] = iter(at_ms)
    return lambda: [note(next(times)), note(NOW_MS + 90_000, "gone")]


@pytest.fixture
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "AGAIN_EVERY_S", 0.0)


@pytest.mark.parametrize(
    "told",
    [
        [],
        [note(None)],
        [note(NOW_MS - 9_000)],
        [note(NOW_MS + 300)],
        [note(NOW_MS + 60_000, "gone"), note(NOW_MS - 9_000)],
    ],
)
def test_a_clock_that_may_be_right_is_taken_as_it_is(told: list[Note]) -> None:
    assert ahead_of_brokers(lambda: NOW_MS, group(*told), written()) == 0


@pytest.mark.usefixtures("without_pauses")
@pytest.mark.parametrize("ahead_ms", [60_000, -60_000])
def test_a_clock_that_does_not_fit_is_measured_by_the_next_note(ahead_ms: int) -> None:
    at_ms = NOW_MS - ahead_ms
    read = written(at_ms - 4_000, None, at_ms)
    assert ahead_of_brokers(lambda: NOW_MS, group(note(at_ms - 4_000)), read) == ahead_ms


@pytest.mark.usefixtures("without_pauses")
@pytest.mark.parametrize("ahead_ms", [300, -300])
def test_a_note_that_was_late_says_nothing_against_the_clock(ahead_ms: int) -> None:
    read = written(NOW_MS - ahead_ms)
    assert ahead_of_brokers(lambda: NOW_MS, group(note(NOW_MS - 30_000)), read) == 0


@pytest.mark.parametrize(("at_ms", "ahead_ms"), [(NOW_MS - 60_000, 0), (NOW_MS + 60_000, -60_000)])
def test_without_a_newer_note_only_what_is_certain_counts(
    monkeypatch: pytest.MonkeyPatch, at_ms: int, ahead_ms: int
) -> None:
    monkeypatch.setattr(clock, "WRITTEN_WITHIN_S", 0.0)
    assert ahead_of_brokers(lambda: NOW_MS, group(note(at_ms)), written()) == ahead_ms


@pytest.mark.usefixtures("without_pauses")
@pytest.mark.parametrize("at_ms", [NOW_MS - 60_000, NOW_MS + 60_000])
def test_a_broker_that_does_not_show_the_notes_again_says_nothing_against_the_clock(at_ms: int) -> None:
    def fails() -> list[Note]:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    assert ahead_of_brokers(lambda: NOW_MS, group(note(at_ms)), fails) == 0


@pytest.mark.parametrize(
    "outside",
    [{"at_ms": LAST_MS + 1}, {"at_ms": -1}, {"since_ms": LAST_MS + 1}, {"queued": -1}, {"in_flight": -1}],
)
def test_a_note_of_what_cannot_be_is_none(outside: dict[str, int]) -> None:
    first, last = note(0), note(LAST_MS)
    assert note_in(beside(first.encode())) == first and note_in(beside(last.encode())) == last
    assert note_in(beside(replace(first, **outside).encode())) is None


def beside(metadata: str) -> TopicPartition:
    return TopicPartition("fluent-requests", 0, 1, metadata.rstrip(END))


def test_what_is_no_note_is_none() -> None:
    for metadata in ("", '{"ids":["a"],"generation":7}', "no"):
        assert note_in(beside(metadata)) is None
    assert note_in(beside(note(NOW_MS).encode())) == note(NOW_MS)


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
