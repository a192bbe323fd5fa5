"""Whether something grows: the second quarter of a soak compared with its last, in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Sample:
    """What was seen at one time. `at_s` counts from the beginning."""

    at_s: float
    rss_mb: float
    files: int
    """Open in the worker's processes."""
    disk_mb: float
    """The worker's databases."""
    events: int
    unanswered: int


@dataclass(frozen=True)
class Finding:
    """One line of the verdict."""

    name: str
    good: bool
    text: str
    words: tuple[str, str] = ("flat", "GROWS")
    """What is said when it is good, and when it is not."""

    @property
    def word(self) -> str:
        """The verdict."""
        return self.words[not self.good]

    def __str__(self) -> str:
        return f"{self.word:5}  {self.name}: {self.text}"


RIGHT = ("right", "WRONG")


@dataclass(frozen=True)
class Bound:
    """A figure is flat while it grows by no more than `times`, or stays below `enough` whatever it was."""

    name: str
    unit: str
    value: Callable[[Sample], float]
    times: float
    enough: float


BOUNDS = (
    Bound("memory", "MB RSS", lambda sample: sample.rss_mb, 1.15, 0.0),
    Bound("open files", "", lambda sample: sample.files, 1.2, 0.0),
    Bound("disk", "bytes an event", lambda s: s.disk_mb * 1e6 / max(1, s.events), 1.25, 0.0),
    Bound("lag", "events without an outcome", lambda sample: sample.unanswered, 2.0, 0.0),
)


def judge(samples: Sequence[Sample], enough: dict[str, float]) -> list[Finding]:
    """A finding for each figure; `enough` are the values, by name, below which a figure is flat in any case.

    The first quarter is left out: caches and write buffers fill up to their limits. Between the second and
    the last the medians are compared, so that a rebalance or a compaction does not decide.
    """
    end = samples[-1].at_s
    early = [sample for sample in samples if 0.25 * end <= sample.at_s < 0.5 * end]
    late = [sample for sample in samples if 0.75 * end <= sample.at_s]
    found = []
    for bound in BOUNDS:
        before, after = (median(map(bound.value, part)) for part in (early, late))
        flat = after <= max(before * bound.times, enough.get(bound.name, bound.enough))
        text = f"{before:,.0f} {bound.unit}".rstrip() + f" in the second quarter, {after:,.0f} in the last"
        found.append(Finding(bound.name, flat, text))
    return found
