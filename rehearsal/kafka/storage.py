"""A broker's directory: used by one broker at a time, formatted once, known by its cluster id afterwards."""

from __future__ import annotations

import base64
import fcntl
import os
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

from rehearsal.kafka.errors import EmbeddedKafkaError

FORMAT_TIMEOUT_S = 60


def lock_directory(directory: Path) -> int:
    """Make the directory ours and return the lock's file descriptor; closing it gives the directory back.

    Nothing else in it is touched. Raises EmbeddedKafkaError when another broker uses it, or when it cannot be
    written to.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise EmbeddedKafkaError(
            f"The data directory {directory} cannot be written to ({error.strerror}).",
            "Choose another one with --data-dir.",
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise EmbeddedKafkaError(
            f"Another embedded Kafka uses the data directory {directory}.",
            "Stop that one, or choose another directory with --data-dir.",
        ) from None
    return lock


def new_cluster_id() -> str:
    """Return an id as Kafka's own tool makes them: a UUID in URL-safe base64."""
    # A leading dash would read as an option of the tool.
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")


def ensure_formatted(data_dir: Path, java: Sequence[str], properties: Path, cluster_id: str) -> str:
    """Return the cluster id of a data directory, formatting it with `cluster_id` when it is new.

    `java` is the command line up to the class name. Raises EmbeddedKafkaError when Kafka refuses.
    """
    if not (data_dir / "meta.properties").exists():
        _format(java, properties, cluster_id)
    lines = (data_dir / "meta.properties").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)["cluster.id"]


def _format(java: Sequence[str], properties: Path, cluster_id: str) -> None:
    tool = ["kafka.tools.StorageTool", "format", "--cluster-id", cluster_id, "--config", str(properties)]
    done = subprocess.run(
        [*java, *tool], capture_output=True, text=True, timeout=FORMAT_TIMEOUT_S, check=False
    )
    if done.returncode != 0:
        raise EmbeddedKafkaError(
            f"Kafka could not format its data directory: {(done.stdout + done.stderr).strip()[-2000:]}",
            "Check that the folder can be written to and that the overridden broker properties exist.",
        )
