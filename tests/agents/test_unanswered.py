"""How far the offset of fluent-requests may be committed: only below the oldest unanswered request."""

from __future__ import annotations

from agents.fluent_requests import Unanswered


def test_nothing_taken_in_means_nothing_to_commit() -> None:
    assert Unanswered().committable is None


def test_the_oldest_unanswered_request_holds_the_offset_back() -> None:
    unanswered = Unanswered()
    for offset in (10, 11, 14):
        unanswered.took_in(offset)
    unanswered.fetched_up_to(15)
    unanswered.answered(11)
    assert unanswered.committable == 10
    unanswered.answered(10)
    assert unanswered.committable == 14
    unanswered.answered(14)
    assert unanswered.committable == 15


def test_an_answer_that_comes_twice_changes_nothing() -> None:
    unanswered = Unanswered(7)
    unanswered.took_in(7)
    unanswered.answered(7)
    unanswered.answered(7)
    assert unanswered.committable == 7
