"""The broker's Java process: started, awaited, asked to stop, killed, and never left behind."""

from __future__ import annotations

import atexit
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from rehearsal.kafka.config import HOST
from streams.system import die_with_parent

POLL_S = 0.02
REQUEST_TIMEOUT_S = 2.0

STOP_TIMEOUT_S = 10


class BrokerProcess:
    """One Java process with its output in a log file."""

    def __init__(self, command: Sequence[str], work_dir: Path, log: Path, lock: int) -> None:
        """Start it. It dies with this process, even with a killed one where Linux helps.

        `lock` is the descriptor of the directory's lock, which the process holds as long as it lives.
        """
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=work_dir,
                pass_fds=[lock],
                # Ctrl-C reaches Python only, which stops the broker in order. A session of its own would do
                # that as well, but Linux shares the processor among sessions first, and priorities end there.
                process_group=0,
                preexec_fn=die_with_parent(signal.SIGTERM),
            )
        atexit.register(self.kill)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """End it in order (SIGTERM), by force after `STOP_TIMEOUT_S`."""
        if self.exit_code is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._reap()

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        if self.exit_code is None:
            self._process.kill()
        self._reap()

    def _reap(self) -> None:
        self._process.wait()
        atexit.unregister(self.kill)


def wait_until_serving(
    port: int, node_id: int, cluster_id: str, is_alive: Callable[[], bool], deadline: float
) -> AdminClient | None:
    """Return an admin client of this node of this cluster, or None when it died or time was up.

    An open port is not enough: a stranger may listen on it, hence the cluster id. `deadline` is of the
    monotonic clock.
    """
    while time.monotonic() < deadline and is_alive():
        if _accepts(port):
            admin = AdminClient({"bootstrap.servers": f"{HOST}:{port}", "log_level": 0})
            if _serves(admin, node_id, cluster_id) and _has_group_coordinator(port, deadline):
                return admin
        time.sleep(POLL_S)
    return None


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=0.3).close()
    except OSError:
        return False
    return True


def _serves(admin: AdminClient, node_id: int, cluster_id: str) -> bool:
    try:
        metadata = admin.list_topics(timeout=REQUEST_TIMEOUT_S)
    except KafkaException:
        return False
    return node_id in metadata.brokers and metadata.cluster_id == cluster_id


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
