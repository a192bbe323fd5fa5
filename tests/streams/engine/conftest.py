"""What tests of the steps of taking over share."""

from __future__ import annotations

import pytest

from streams.engine import takeover
from tests.streams.engine.driving import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Of the steps: time passes while one of them waits."""
    made = Clock()
    made.rule(monkeypatch, takeover)
    return made
