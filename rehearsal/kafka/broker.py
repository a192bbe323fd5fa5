"""`EmbeddedKafka`: one broker that a program or a test owns."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from rehearsal.kafka.config import HOST, Membership, Ports, free_port, is_free, server_properties
from rehearsal.kafka.errors import EmbeddedKafkaError
from rehearsal.kafka.jars import fetch_jars
from rehearsal.kafka.java import find_java, java_command
from rehearsal.kafka.process import BrokerProcess, wait_until_serving
from rehearsal.kafka.security import (
    ScramUser,
    add_user,
    client_environment,
    ensure_certificates,
    listener_properties,
)
from rehearsal.kafka.storage import ensure_formatted, lock_directory

START_TIMEOUT_S = 60.0

PORT_ATTEMPTS = 3
"""Starts with fresh ports before giving up: somebody may take a free port before the broker does."""

LOG_TAIL = 3000
"""Characters of the broker's log that an error quotes."""


class EmbeddedKafka:
    """An Apache Kafka broker on 127.0.0.1, by itself unless it is a member of a `KafkaCluster`.

    `start`, `stop` and `kill` may follow each other: ports and data stay the same. Without `data_dir` the
    data is temporary and `close` (or the end of a `with` block) removes it. Start it from the main thread
    where you can: then it dies with this process even if that is killed.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        port: int | None = None,
        *,
        heap: str = "256m",
        full_jit: bool = False,
        security: ScramUser | None = None,
        overrides: Mapping[str, str] | None = None,
        membership: Membership | None = None,
    ) -> None:
        """Describe a broker; nothing runs yet.

        `heap` is Java's (`256m`); `full_jit` is for benchmarks (slower to start, faster under load);
        `security` adds a SASL_SSL listener with SCRAM-SHA-512 for that user; `overrides` are broker
        properties that win over the defaults; `membership` is set by a cluster.
        """
        self._temporary = data_dir is None
        chosen = data_dir or Path(tempfile.mkdtemp(prefix="embedded-kafka-"))
        self.dir = chosen.absolute()
        self._heap = heap
        self._full_jit = full_jit
        self._security = security
        self._overrides = dict(overrides or {})
        self._member = membership or Membership()
        self._fixed_port = port
        self._ports: Ports | None = None
        self._served = False
        self._process: BrokerProcess | None = None
        self._lock: int | None = None

    @property
    def bootstrap(self) -> str:
        """`host:port` of the plain listener. Raises EmbeddedKafkaError before the first start."""
        return f"{HOST}:{self._known_ports().plaintext}"

    @property
    def log(self) -> Path:
        """The file with the broker's output."""
        return self.dir / "broker.log"

    @property
    def pid(self) -> int | None:
        """The Java process's id; None when no broker runs."""
        return self._process.pid if self.is_running and self._process else None

    @property
    def is_running(self) -> bool:
        """Whether the Java process lives."""
        return self._process is not None and self._process.exit_code is None

    @property
    def secure_environment(self) -> dict[str, str]:
        """The `KAFKA_…` environment of a client of the SASL_SSL listener.

        Raises EmbeddedKafkaError without `security` or before the first start.
        """
        sasl = self._known_ports().sasl
        if self._security is None or sasl is None:
            raise EmbeddedKafkaError("This broker has no SASL_SSL listener.", "Give it `security`.")
        return client_environment(sasl, self._security, ensure_certificates(self._tls_dir))

    def start(self, timeout_s: float = START_TIMEOUT_S) -> Self:
        """Start the broker and return when it serves. Does nothing when it runs.

        Raises EmbeddedKafkaError when Java or the jars cannot be had, a chosen port is taken, another broker
        uses the data directory, or the broker does not come up within `timeout_s` (downloads do not count).
        """
        if self.is_running:
            return self
        java = self._java()
        deadline = time.monotonic() + timeout_s
        for _ in range(PORT_ATTEMPTS):
            self._launch(java)
            if self.wait(deadline):
                return self
        raise self._not_started()

    def launch(self) -> None:
        """Start the process without waiting for it: a member of a new cluster serves once others do, too.

        Raises EmbeddedKafkaError as `start` does.
        """
        self._launch(self._java())

    def wait(self, deadline: float) -> bool:
        """Wait until the launched broker serves; False where another process took its port meanwhile.

        `deadline` is of the monotonic clock. Raises EmbeddedKafkaError when it does not come up.
        """
        port, node_id = self._known_ports().plaintext, self._member.node_id
        try:
            admin = wait_until_serving(port, node_id, self._cluster_id, lambda: self.is_running, deadline)
            if admin is not None:
                self._let_user_in(admin)
                self._served = True
                return True
        except BaseException:
            self.kill()  # a Ctrl-C included: nobody would stop it later
            raise
        self.kill()
        if "Address already in use" in self._log_tail():
            self._ports = self._ports if self._served else None
            return False
        raise self._not_started()

    def stop(self) -> None:
        """Stop in order; data and ports stay for the next `start`."""
        if self._process is not None:
            self._process.stop()
        self._unlock()

    def kill(self) -> None:
        """Kill with SIGKILL; data and ports stay for the next `start`."""
        if self._process is not None:
            self._process.kill()
        self._unlock()

    def close(self) -> None:
        """Stop, and remove the data when it is temporary."""
        self.stop()
        if self._temporary:
            shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _tls_dir(self) -> Path:
        return self.dir / "tls"

    @property
    def _data_dir(self) -> Path:
        return self.dir / "data"

    def _known_ports(self) -> Ports:
        if self._ports is None:
            raise EmbeddedKafkaError("The embedded Kafka was not started.", "Call start() first.")
        return self._ports

    def _choose_ports(self) -> Ports:
        plaintext = self._ports.plaintext if self._ports else self._fixed_port
        if plaintext is not None and not is_free(plaintext):
            raise EmbeddedKafkaError(
                f"Port {plaintext} on {HOST} is taken by another process.",
                "Stop that one, or choose another port with --port.",
            )
        plaintext = plaintext or free_port()
        sasl = self._ports.sasl if self._ports else None
        if self._security is not None and sasl is None:
            sasl = free_port(besides=[plaintext])
        controller = self._member.controllers.get(self._member.node_id)
        return Ports(plaintext, controller or free_port(besides=[plaintext, sasl]), sasl)

    def _java(self) -> list[str]:
        return java_command(find_java(), fetch_jars(), self.dir, self._heap, full_jit=self._full_jit)

    def _launch(self, java: list[str]) -> None:
        self._unlock()  # of one that has died by itself
        self._lock = lock_directory(self.dir)
        try:
            self._ports = self._choose_ports()
            properties = self.dir / "server.properties"
            properties.write_text(
                server_properties(self._member, self._ports, self._data_dir, self._all_overrides())
            )
            self._cluster_id = ensure_formatted(self._data_dir, java, properties, self._member.cluster_id)
            self.log.unlink(missing_ok=True)
            command = [*java, "kafka.Kafka", str(properties)]
            self._process = BrokerProcess(command, self.dir, self.log, self._lock)
        except BaseException:
            self._unlock()
            raise

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _all_overrides(self) -> dict[str, str]:
        if self._security is None:
            return self._overrides
        ensure_certificates(self._tls_dir)
        return {**listener_properties(self._tls_dir), **self._overrides}

    def _let_user_in(self, admin: AdminClient) -> None:
        if self._security is None:
            return
        try:
            add_user(admin, self._security)
        except KafkaException as error:
            raise EmbeddedKafkaError(
                f"The user {self._security.username} could not be created: {error}.",
                f"See {self.log}.",
            ) from error

    def _log_tail(self) -> str:
        return self.log.read_text(errors="replace")[-LOG_TAIL:].strip() if self.log.exists() else ""

    def _not_started(self) -> EmbeddedKafkaError:
        code = self._process.exit_code if self._process else None
        return EmbeddedKafkaError(
            f"The embedded Kafka did not start (exit code {code}). {self.log} ends:\n{self._log_tail()}\n",
            "Is the machine out of memory?",
        )
