"""The clusters of which the contract is asked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.simulation.whole.clusters import Run, real_cluster, stand_in_cluster
from tests.support.kafka import KafkaUnderTest


@pytest.fixture(params=["stand-in", pytest.param("real", marks=pytest.mark.kafka)])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    if request.param == "stand-in":
        with stand_in_cluster() as runs:
            yield runs
    else:
        kafka: KafkaUnderTest = request.getfixturevalue("kafka")
        with real_cluster(kafka.bootstrap, request.getfixturevalue("topic_prefix")) as runs:
            yield runs
