"""Each metric is defined once; what is scraped, docs/metrics.md and what `deploy/` shows agree with that."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from bridge.operations import Metrics as BridgeMetrics
from flashsale.worker.metrics import FluentCollector, Metrics
from fluent import Meters
from streams.metrics import Definition, HistogramOf
from streams.metrics.page import ALL, PATH, page

BY_NAME = {each.name: each for each in ALL}


def scraped() -> Iterator[tuple[str, str]]:
    """Name and help text of every family that a worker or a bridge serves; not Prometheus' own."""
    worker, bridge = Metrics(partitions=12), BridgeMetrics()
    worker.registry.register(FluentCollector(Meters()))
    for registry in (worker.registry, bridge.registry):
        for family in registry.collect():
            if not family.name.startswith("process_"):
                yield family.name, family.documentation


def test_what_is_scraped_is_what_is_defined() -> None:
    assert dict(scraped()) == {each.name: each.meaning for each in ALL}
    assert len(list(scraped())) == len(ALL) == len(BY_NAME)


def test_the_page_is_current() -> None:
    assert PATH.read_text(encoding="utf-8") == page(), "run python -m streams.metrics"


@pytest.mark.parametrize("each", ALL, ids=lambda each: each.name)
def test_a_definition_says_what_it_measures_in_a_sentence(each: Definition) -> None:
    assert each.name.startswith("flashsale_") and not each.name.endswith("_total")
    assert each.meaning.endswith(".") and not each.look_when.endswith(".")
    if isinstance(each, HistogramOf):
        assert each.name.endswith("_seconds") and list(each.bounds) == sorted(each.bounds)


def test_one_observation_counts_for_a_whole_batch() -> None:
    definition = HistogramOf("took_seconds", "How long.", labels=("stage",), bounds=(0.1, 1.0))
    registry = CollectorRegistry()
    histogram = definition.make_weighted(registry)
    histogram.observe(0.1, 300, "intake")
    histogram.observe(0.5, 20, "intake")
    histogram.observe(7.0, 1, "intake")
    histogram.observe(0.5, 2, "orders")
    text = generate_latest(registry).decode()
    for line in (
        'took_seconds_bucket{le="0.1",stage="intake"} 300.0',
        'took_seconds_bucket{le="1.0",stage="intake"} 320.0',
        'took_seconds_bucket{le="+Inf",stage="intake"} 321.0',
        'took_seconds_sum{stage="intake"} 47.0',
        'took_seconds_bucket{le="0.1",stage="orders"} 0.0',
        'took_seconds_count{stage="orders"} 2.0',
    ):
        assert line in text
