"""A trace goes from a caller of the bridge through Kafka to the outcome and to Fluent."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import httpx
import pytest
from confluent_kafka import Producer

from streams.settings import ConfigurationError
from streams.tracing import trace_in, traceparent, tracer_of
from tests.bridge.process import BridgeProcess
from tests.support.audit import final_report, order, promotion_start
from tests.support.collector import Collector
from tests.support.kafka import KafkaUnderTest
from tests.support.system import Message, System, system, wait_until

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{CALLER}-01"


@pytest.mark.parametrize(
    "text",
    ["", "00", PARENT.upper(), PARENT[:-1], f"{PARENT}-x", f"01{PARENT[2:]}", f"00-{'0' * 32}-{CALLER}-01"],
)
def test_what_is_no_trace_context_goes_no_further(text: str) -> None:
    assert traceparent(text) == "" == trace_in([("traceparent", text.encode())])
    assert trace_in([("other", PARENT.encode()), ("traceparent", None)]) == ""
    assert traceparent(PARENT) == PARENT == trace_in([("a", b"b"), ("traceparent", PARENT.encode())])


def test_without_an_endpoint_there_is_no_tracer() -> None:
    assert tracer_of({}, "flashsale-test") is None


def test_an_endpoint_without_opentelemetry_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "opentelemetry"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)  # as if it were not installed
    with pytest.raises(ConfigurationError, match=r"flash-sale-reservations\[otel\]"):
        tracer_of({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, "flashsale-test")


def test_a_collector_that_is_away_does_not_hold_up_a_stop() -> None:
    tracer = tracer_of({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, "flashsale-test")
    assert tracer is not None
    provider, ends, sent = tracer._provider, Event(), list[str]()

    def tries_on() -> None:
        ends.wait(30)
        sent.append("after half a minute")

    tracer._provider = SimpleNamespace(shutdown=tries_on)  # type: ignore[assignment]
    tracer.close(within_s=0.01)
    assert sent == []
    ends.set()
    provider.shutdown()


def publish_traced(sale: System, topic: str, event: object) -> None:
    producer = Producer({"bootstrap.servers": sale.bootstrap})
    value = json.dumps(event).encode()
    producer.produce(sale.prefix + topic, value, headers=[("traceparent", PARENT.encode())])
    assert producer.flush(30) == 0


def answer_to(sale: System, topic: str, key: bytes) -> Message:
    return wait_until(
        lambda: next((each for each in sale.read(topic) if each.key == key), None), f"{key!r} in {topic}", 60
    )


def test_a_trace_of_a_producer_reaches_every_answer(
    kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path
) -> None:
    with system(kafka.bootstrap, topic_prefix, tmp_path, {"A": {"LOC-1": 9}, "B": {"LOC-1": 9}}) as sale:
        sale.start_worker()
        publish_traced(sale, "promotion-start", promotion_start("P", {"A": 5, "B": 5}))
        assert answer_to(sale, "promotion-results", b"P").headers["traceparent"] == PARENT
        publish_traced(sale, "order-placed", order("ONE-SKU", "P", ("A", 1)))
        publish_traced(sale, "order-placed", order("TWO-SKUS", "P", ("A", 1), ("B", 1)))
        sale.publish("order-placed", [order("NO-TRACE", "P", ("A", 1))])
        publish_traced(sale, "order-placed", "no order")
        for ref in ("ONE-SKU", "TWO-SKUS"):
            assert answer_to(sale, "order-outcomes", ref.encode()).headers["traceparent"] == PARENT
        assert "traceparent" not in answer_to(sale, "order-outcomes", b"NO-TRACE").headers
        assert sale.wait_for("dead-letters", 1)[0].headers["traceparent"] == PARENT


def test_spans_follow_an_order_from_the_bridge_to_its_outcome_and_a_start_to_fluent(
    kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path
) -> None:
    with (
        Collector() as collector,
        system(
            kafka.bootstrap, topic_prefix, tmp_path, {"A": {"LOC-1": 9}}, fluentAskAgainSeconds=20
        ) as sale,
    ):
        sale.extra_environment = collector.environment
        worker = sale.start_worker()
        with BridgeProcess(sale.environment(), tmp_path / "bridge", "--unsigned") as bridge:
            bridge.wait_ready()
            for path, body in (
                ("/start-flash-sale", promotion_start("P", {"A": 5})),
                ("/consume-reservation", order("O-1", "P", ("A", 1))),
            ):
                headers = {"traceparent": PARENT, "Prefer": "wait=20"}
                answer = httpx.post(
                    bridge.url + path, json=body, headers=headers, trust_env=False, timeout=30
                )
                assert answer.status_code == 200
            assert bridge.terminate() == 0
        sale.publish("promotion-end", [{"promotion": {"id": "P"}}])
        wait_until(lambda: final_report(sale, "P"), "the FINAL report", 90)
        assert worker.terminate() == 0

    for path, decided in (("/start-flash-sale", "promotion-start"), ("/consume-reservation", "order-placed")):
        [served] = collector.named(f"POST {path}")
        assert (served.trace_id.hex(), served.parent_span_id.hex()) == (TRACE, CALLER)
        [answered] = collector.named(f"decide {sale.prefix}{decided}")
        assert (answered.trace_id, answered.parent_span_id) == (served.trace_id, served.span_id)
        assert 0 < answered.end_time_unix_nano - answered.start_time_unix_nano < 30e9
    [started] = collector.named("POST /start-flash-sale")
    for asked in ("hold in Fluent", "release in Fluent"):
        spans = collector.named(asked)  # of each ask that was answered, and a slow one is asked again
        assert spans and all(span.parent_span_id == started.span_id for span in spans)
    assert {service for service, _ in collector.spans} == {"flashsale-bridge", "flashsale-worker"}
