"""Which answers a worker makes spans of; tests/integration/test_traces.py has the real ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from flashsale.worker.metrics import Metrics
from flashsale.worker.traces import MOST_SPANS, Traces
from streams.ledger.commands import HoldConfirmed
from streams.ledger.effects import Batch, Effects, Send
from streams.ledger.fluent_requests import HoldRequest, ReleaseRequest, SettleRequest
from streams.ledger.terms import Source
from streams.system import now_ms
from streams.tracing import Tracer

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@dataclass
class Spans:
    """In place of a tracer: which spans were made."""

    made: list[tuple[str, str, int]] = field(default_factory=list)

    def begin(self, name: str, parent: str, kind: str, started_at_ms: int, **about: str | int) -> Any:
        assert kind in ("CONSUMER", "CLIENT") and all(about.values())
        self.made.append((name, parent, started_at_ms))
        return SimpleNamespace(end=lambda at_ns: None)


def answers(count: int, trace: str = PARENT, topic: str = "order-outcomes") -> Effects:
    effects = Effects()
    effects.batches.append(Batch("sku-commands", count, now_ms() - 70))
    for offset in range(1, count + 1):
        source = Source("order-placed", 0, offset, b"key", trace)
        effects.sends.append(Send(topic, b"O-1", b"{}", source.headers()))
    return effects


def spans_of(effects: Effects) -> Spans:
    spans = Spans()
    Traces(cast(Tracer, spans)).beside(Metrics(partitions=1)).committed("task-0", effects, 1)
    return spans


def test_an_answer_to_a_traced_event_is_a_span_from_its_batchs_oldest_record() -> None:
    effects = answers(1)
    assert spans_of(effects).made == [("decide order-placed", PARENT, effects.batches[0].appended_at_ms)]


def test_neither_untraced_answers_nor_commands_of_our_own_are_spans() -> None:
    assert spans_of(answers(3, trace="")).made == []
    assert spans_of(answers(3, topic="sku-commands")).made == []


def test_a_flood_of_traces_does_not_hold_decisions_up() -> None:
    assert len(spans_of(answers(MOST_SPANS * 3)).made) == MOST_SPANS


def test_without_a_tracer_the_observer_is_the_metrics_themselves() -> None:
    metrics = Metrics(partitions=1)
    assert Traces(None).beside(metrics) is metrics
    Traces(None).fluent_answered(HoldRequest("P", "A", 1, "FS", 1, 1, trace=PARENT), None, 1)
    Traces(None).close()


def test_holds_and_releases_of_traced_promotions_are_spans_and_settles_are_not() -> None:
    spans = Spans()
    traces = Traces(cast(Tracer, spans))
    answer = HoldConfirmed("P", "A", 1, 5)
    for request in (
        HoldRequest("P", "A", 1, "FS", 5, 2**41),
        HoldRequest("P", "A", 1, "FS", 5, 2**41, trace=PARENT),
        SettleRequest("P", "A", 2, "FS", 4, 1, trace=PARENT),
        ReleaseRequest("P", "A", 3, "FS", 1),
        ReleaseRequest("P", "A", 3, "FS", 1, trace=PARENT),
    ):
        traces.fluent_answered(request, answer, 1_000)
    assert spans.made == [("hold in Fluent", PARENT, 1_000), ("release in Fluent", PARENT, 1_000)]
