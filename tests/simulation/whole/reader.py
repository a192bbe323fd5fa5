"""Stand-in for the reader of changelogs, which also tells what topics and logs there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from streams.engine.broker.coordinators import Partition
from streams.engine.changelog import Restored, RestoreTimeout
from streams.ledger.rows import Changes
from tests.simulation.whole.kafka import Kafka

BULK = 200


class Reader:
    """In place of ChangelogReader. It is asked in the executor, so that time passes before each answer."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka

    def topic_id(self, topic: str) -> str:
        """The broker's id of a topic. Raises KafkaException."""
        return self.topic_ids([topic])[topic]

    def topic_ids(self, topics: Iterable[str], within_s: float = 20.0) -> dict[str, str]:
        """The ids of several topics. Raises KafkaException."""
        return {topic: self._existing(topic) for topic in topics}

    def end_offset(self, topic: str, partition: int) -> int:
        """The log end, whatever is still open in it."""
        return self._kafka.logs[topic, partition].end

    def log_ranges(self, partitions: Sequence[Partition]) -> dict[Partition, tuple[int, int]]:
        """The oldest offset that each log still holds, and its end. Raises KafkaException."""
        for topic, _ in partitions:
            self._existing(topic)
        return {each: (self._kafka.logs[each].begin, self._kafka.logs[each].end) for each in partitions}

    def _existing(self, topic: str) -> str:
        if not self._kafka.has(topic):
            raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, topic))
        return self._kafka.topic_ids[topic]

    def read(
        self,
        topic: str,
        partition: int,
        start: int,
        apply: Callable[[Changes, int], None],
        _progress: Any,
        _cancelled: Any,
        _idle_timeout_s: float = 60.0,
    ) -> Restored:
        """Apply all committed records from `start` on. Raises RestoreTimeout where markers are missing."""
        log = self._kafka.logs[topic, partition]
        count, end = 0, log.end
        while start < end:
            entries, following = log.read(start, BULK)
            if following == start:
                raise RestoreTimeout(f"{topic}/{partition} can be read up to {start}, not to {end}")
            apply({each.key or b"": each.value for each in entries}, following)
            count, start = count + len(entries), following
        return Restored(count, 0.0, end)
