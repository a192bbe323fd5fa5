"""The configuration of the demo's system: what takes minutes in a shop takes seconds here."""

from __future__ import annotations

from typing import Any

from schemas.topics import INPUTS

WORKERS = 2
PARTITIONS = 2
"""One for each worker."""

TASKS = PARTITIONS * (len(INPUTS) + 1)
"""What the workers own together: for each partition a task that decides, and an intake per input topic."""

QUICK: dict[str, Any] = {
    "partitions": PARTITIONS,
    "claimGraceSeconds": 1,
    "expiryGraceSeconds": 0.5,
    "releaseIntervalSeconds": 0.5,
    "reconciliationIntervalSeconds": 2,
    "settleDelaySeconds": 2,
    "settleIntervalSeconds": 1,
    "fluentRequestsPerSecond": 500,
    "fluentTimeoutSeconds": 3,
    "fluentAskAgainSeconds": 3,
    "fluentVerifySeconds": 6,
    "kafkaSessionTimeoutMs": 2_500,
}
