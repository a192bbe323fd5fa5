"""`python -m benchmarks release`: from deadline and grace to the record that a reader gets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks import release
from benchmarks.result import Arena
from benchmarks.subject import TODAY
from tests.support.kafka import KafkaUnderTest

FEW = 3


@pytest.mark.kafka
@pytest.mark.slow
def test_every_sku_of_every_sale_counts_once_and_from_its_own_deadline(
    kafka: KafkaUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "PROMOTIONS", FEW)
    monkeypatch.setattr(release, "FIRST_AFTER_S", 5.0)
    [idle, _] = release.FIGURES
    [result] = idle(Arena(kafka.bootstrap, os.getpid(), tmp_path), TODAY)
    assert result.notes.endswith(f"{FEW * release.SKUS} SKUs")
    assert 0 < result.value < 5_000
