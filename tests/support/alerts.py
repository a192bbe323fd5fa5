"""What processes export, scraped for real and played through the alert rules by promtool.

Time is stretched: each look at the processes counts as a scrape of Prometheus, 15 s after the one before,
however soon it came. What the last look found lasts for as long as it is asked to: nobody comes to mend it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.deploy.test_prometheus import STEPS, play

WATCHED = ("flashsale_", "process_start_time_seconds")

Series = dict[str, float]
"""Values by name and labels, as a rule's test names a series."""


@dataclass
class Prometheus:
    """Looks at processes: the URL of `/metrics` by their instance."""

    targets: Mapping[str, str]
    looks: list[Series] = field(default_factory=list)

    def look(self) -> Series:
        """Scrape everything once."""
        seen: Series = {}
        for instance, url in self.targets.items():
            own = f'job="flashsale",instance="{instance}"'
            try:
                text = httpx.get(url, trust_env=False, timeout=5).text
            except httpx.HTTPError:
                seen[f"up{{{own}}}"] = 0
                continue
            seen[f"up{{{own}}}"] = 1
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    if sample.name.startswith(WATCHED):
                        labels = "".join(f',{name}="{value}"' for name, value in sample.labels.items())
                        seen[f"{sample.name}{{{own}{labels}}}"] = sample.value
        self.looks.append(seen)
        return seen

    def values(self, metric: str) -> list[float]:
        """What the last look found of a metric, whatever its labels."""
        return [value for name, value in self.looks[-1].items() if name.split("{")[0] == metric]

    def fires(self, alert: str, directory: Path, minutes: float = 5) -> bool:
        """Whether an alert fires once the last look has lasted so long; `.*`: whether none does."""
        last = round(minutes * 4)
        looks = [*self.looks, *[self.looks[-1]] * last]
        looks = [looks[0]] * (STEPS - len(looks)) + looks
        names = dict.fromkeys(name for look in looks for name in look)
        figures = {name: _written([look.get(name) for look in looks]) for name in names}
        return play(figures, alert, directory).returncode == 0


def _written(values: list[float | None]) -> str:
    """As promtool reads it; a series that ends gets Prometheus's mark for that."""
    written, before = [], None
    for value in values:
        written.append(("_" if before is None else "stale") if value is None else f"{value:.6f}")
        before = value
    return " ".join(written)
