"""A worker's spans: an answer to a traced event, hold and release in Fluent for a traced promotion.

One span for each answer, from the append of the oldest record of its batch until the answer is durable: no
record is timed by itself. A worker without a tracer has none of this.
"""

from __future__ import annotations

from itertools import islice

from schemas.topics import DEAD_LETTERS, ORDER_OUTCOMES, PROMOTION_RESULTS
from streams.engine.ports import Observer
from streams.ledger.effects import Effects, Send
from streams.ledger.fluent_requests import AnyRequest, HoldRequest, ReleaseRequest
from streams.system import now_ms
from streams.tracing import NS_PER_MS, Tracer, trace_in

MOST_SPANS = 200
"""Of one commit: a span costs a tenth of a millisecond, and decisions wait meanwhile."""

ANSWERS = (ORDER_OUTCOMES, PROMOTION_RESULTS, DEAD_LETTERS)


class Traced:
    """The engine's observer, with spans of what was committed."""

    def __init__(self, observer: Observer, tracer: Tracer) -> None:
        self._observer = observer
        self._tracer = tracer
        self.transaction = observer.transaction
        self.discarded = observer.discarded
        self.stands_still = observer.stands_still
        self.dropped_fetch = observer.dropped_fetch

    def committed(self, task: str, effects: Effects, records: int) -> None:
        """What a task had in it is durable."""
        self._observer.committed(task, effects, records)
        now = now_ms()
        began_at_ms = min([batch.appended_at_ms for batch in effects.batches], default=now)
        traced = (send for send in effects.sends if send.topic in ANSWERS and trace_in(send.headers or ()))
        for send in islice(traced, MOST_SPANS):
            self._answered(send, min(began_at_ms, now), now)

    def _answered(self, send: Send, began_at_ms: int, ended_at_ms: int) -> None:
        headers = dict(send.headers or ())
        span = self._tracer.begin(
            f"decide {headers['source-topic'].decode()}",
            trace_in(headers.items()),
            "CONSUMER",
            began_at_ms,
            messaging_system="kafka",
            messaging_destination_name=headers["source-topic"].decode(),
            messaging_kafka_offset=int(headers["source-offset"]),
            flashsale_answer=send.topic,
            flashsale_key=(send.key or b"").decode(errors="replace"),
        )
        span.end(ended_at_ms * NS_PER_MS)


class Traces:
    """The spans of one worker; `tracer` None: it makes none."""

    def __init__(self, tracer: Tracer | None) -> None:
        self._tracer = tracer

    def beside(self, observer: Observer) -> Observer:
        """An observer that does what `observer` does, and makes spans where they are wanted."""
        return observer if self._tracer is None else Traced(observer, self._tracer)

    def fluent_answered(self, request: AnyRequest, answer: object, asked_at_ms: int) -> None:
        """A request of the ledger, which the gateway has had since then, has its answer.

        A settle is no span: a SKU that sells has one every few seconds, as long as the sale goes on.
        """
        if self._tracer is None or not isinstance(request, HoldRequest | ReleaseRequest) or not request.trace:
            return
        span = self._tracer.begin(
            "hold in Fluent" if isinstance(request, HoldRequest) else "release in Fluent",
            request.trace,
            "CLIENT",
            asked_at_ms,
            flashsale_promotion=request.promotion_id,
            flashsale_sku=request.sku,
            flashsale_answer=type(answer).__name__,
        )
        span.end(now_ms() * NS_PER_MS)

    def close(self) -> None:
        """Send what is left; blocks for a moment."""
        if self._tracer is not None:
            self._tracer.close()
