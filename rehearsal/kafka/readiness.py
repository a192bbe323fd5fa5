"""Tells when a broker that was just started serves, and that it is ours."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from rehearsal.kafka.config import HOST

POLL_S = 0.02
REQUEST_TIMEOUT_S = 2.0


def wait_until_serving(
    port: int, cluster_id: str, is_alive: Callable[[], bool], timeout_s: float
) -> AdminClient | None:
    """Return an admin client of the broker with this cluster id, or None when it died or time was up.

    An open port is not enough: a stranger may listen on it, hence the cluster id.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and is_alive():
        if _accepts(port):
            admin = AdminClient({"bootstrap.servers": f"{HOST}:{port}", "log_level": 0})
            if _serves(admin, cluster_id) and _has_group_coordinator(port, deadline):
                return admin
        time.sleep(POLL_S)
    return None


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=0.3).close()
    except OSError:
        return False
    return True


def _serves(admin: AdminClient, cluster_id: str) -> bool:
    try:
        metadata = admin.list_topics(timeout=REQUEST_TIMEOUT_S)
    except KafkaException:
        return False
    return bool(metadata.brokers) and metadata.cluster_id == cluster_id


def _has_group_coordinator(port: int, deadline: float) -> bool:
    """Ask for a group's offsets, which makes the broker create its offsets topic.

    Without it the first consumer group to join pays 3 s for that. Asked by a consumer, because the admin
    client's list_consumer_group_offsets crashes the process (librdkafka 2.16: SIGSEGV in rd_kafka_cgrp_op)
    when the coordinator of a new broker answers that it is still loading.
    """
    consumer = Consumer(
        {"bootstrap.servers": f"{HOST}:{port}", "group.id": "embedded-kafka-start", "log_level": 0}
    )
    try:
        consumer.committed([TopicPartition("any", 0)], timeout=max(1.0, deadline - time.monotonic()))
    except KafkaException:
        return False
    finally:
        consumer.close()
    return True
