"""Every metric of ours, defined once: its name, what it says, and when a person should look into it.

`worker`, `fluent` and `bridge` list the metrics of each; the code that measures makes the counter, gauge or
histogram out of the definition. docs/metrics.md is written from here (`python -m streams.metrics`), and the
dashboard and the alerts in `deploy/` are compared with it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class Definition:
    """One metric by its name without Prometheus' suffixes.

    `look_when` says what is worth a person's time, and what to do then; it is empty for a metric that only
    explains others. Durations are in seconds.
    """

    name: str
    meaning: str
    look_when: str = ""
    labels: tuple[str, ...] = ()

    @property
    def scraped(self) -> str:
        """The name by which a query finds it."""
        return self.name


@dataclass(frozen=True, slots=True)
class CounterOf(Definition):
    """A number that only grows, and begins at 0 with the process.

    `known` are values of its one label that are shown from the start: `increase()` does not see the first
    increment of a series that appears with it.
    """

    known: tuple[str, ...] = ()

    @property
    def scraped(self) -> str:
        """Prometheus wants counters to end in `_total`."""
        return f"{self.name}_total"

    def make(self, registry: CollectorRegistry) -> Counter:
        """The counter, registered."""
        made = Counter(self.name, self.meaning, self.labels, registry=registry)
        for value in self.known:
            made.labels(value)
        return made

    def family(self, values: Mapping[Any, int]) -> Metric:
        """What is scraped of counts that somebody else keeps, by a tuple of the labels' values."""
        found = CounterMetricFamily(self.name, self.meaning, labels=self.labels)
        shown: dict[Any, int] = {(value,): 0 for value in self.known} | dict(values)
        for key, count in shown.items():
            found.add_metric(key, count)
        return found


@dataclass(frozen=True, slots=True)
class GaugeOf(Definition):
    """How it stands now."""

    def make(self, registry: CollectorRegistry) -> Gauge:
        """The gauge, registered."""
        return Gauge(self.name, self.meaning, self.labels, registry=registry)

    def family(self, value: float) -> Metric:
        """What is scraped of a value that somebody else keeps."""
        return GaugeMetricFamily(self.name, self.meaning, value=value)


@dataclass(frozen=True, slots=True)
class HistogramOf(Definition):
    """How long something took. `bounds` are the buckets' upper ends."""

    bounds: tuple[float, ...] = field(kw_only=True)

    def make(self, registry: CollectorRegistry) -> Histogram:
        """The histogram, registered; each observation counts once."""
        return Histogram(self.name, self.meaning, self.labels, buckets=self.bounds, registry=registry)

    def make_weighted(self, registry: CollectorRegistry) -> WeightedHistogram:
        """The histogram, registered, of which one observation can count many times."""
        made = WeightedHistogram(self)
        registry.register(made)
        return made


class WeightedHistogram(Collector):
    """A histogram that takes in a batch of records with one observation."""

    def __init__(self, definition: HistogramOf) -> None:
        self._definition = definition
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._sums: dict[tuple[str, ...], float] = {}

    def observe(self, seconds: float, count: int, *labels: str) -> None:
        """`count` records took so long."""
        bounds = self._definition.bounds
        self._sums[labels] = self._sums.get(labels, 0.0) + seconds * count
        counts = self._counts.setdefault(labels, [0] * (len(bounds) + 1))
        counts[bisect_left(bounds, seconds)] += count

    def collect(self) -> Iterator[Metric]:
        """The figures as they are now."""
        definition = self._definition
        family = HistogramMetricFamily(definition.name, definition.meaning, labels=definition.labels)
        for labels, counts in list(self._counts.items()):
            family.add_metric(labels, buckets=self._cumulated(counts), sum_value=self._sums[labels])
        yield family

    def _cumulated(self, counts: list[int]) -> list[tuple[str, float]]:
        bounds = [*map(str, self._definition.bounds), "+Inf"]
        return [(bound, sum(counts[: index + 1])) for index, bound in enumerate(bounds)]


def definitions(module: Any) -> tuple[Definition, ...]:
    """The metrics that a module defines, in its order."""
    return tuple(value for value in vars(module).values() if isinstance(value, Definition))
