"""The one error that the embedded Kafka raises."""

from __future__ import annotations


class EmbeddedKafkaError(RuntimeError):
    """The embedded Kafka cannot be had or does not run.

    `str()` is what happened and what to do about it; the parts are `problem` and `recommendation`.
    """

    def __init__(self, problem: str, recommendation: str) -> None:
        super().__init__(f"{problem} {recommendation}")
        self.problem = problem
        self.recommendation = recommendation
