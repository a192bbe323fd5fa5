"""What travels with an event: by its source an answer names the event, and goes on with its trace."""

from __future__ import annotations

from streams.ledger.terms import Source

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
NAMED = [("source-topic", b"order-placed"), ("source-partition", b"3"), ("source-offset", b"41")]


def test_an_answer_names_the_record_that_it_answers() -> None:
    assert Source("order-placed", 3, 41, b"key").headers() == NAMED


def test_an_answer_to_an_event_with_a_trace_is_part_of_that_trace() -> None:
    assert Source("order-placed", 3, 41, b"key", PARENT).headers() == [
        *NAMED,
        ("traceparent", PARENT.encode()),
    ]
