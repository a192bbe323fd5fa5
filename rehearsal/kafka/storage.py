"""The broker's data directory: formatted once, known by its cluster id afterwards."""

from __future__ import annotations

import base64
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

from rehearsal.kafka.errors import EmbeddedKafkaError

FORMAT_TIMEOUT_S = 60


def ensure_formatted(data_dir: Path, java: Sequence[str], properties: Path) -> str:
    """Return the cluster id of a data directory, formatting it when it is new.

    `java` is the command line up to the class name. Raises EmbeddedKafkaError when Kafka refuses.
    """
    if not (data_dir / "meta.properties").exists():
        _format(java, properties)
    return _cluster_id(data_dir)


def _format(java: Sequence[str], properties: Path) -> None:
    # A leading dash would read as an option.
    cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
    tool = ["kafka.tools.StorageTool", "format", "--cluster-id", cluster_id, "--config", str(properties)]
    done = subprocess.run(
        [*java, *tool], capture_output=True, text=True, timeout=FORMAT_TIMEOUT_S, check=False
    )
    if done.returncode != 0:
        raise EmbeddedKafkaError(
            f"Kafka could not format its data directory: {(done.stdout + done.stderr).strip()[-2000:]}",
            "Check that the folder can be written to and that the overridden broker properties exist.",
        )


def _cluster_id(data_dir: Path) -> str:
    lines = (data_dir / "meta.properties").read_text().splitlines()
    pairs = dict(line.split("=", 1) for line in lines if "=" in line)
    return pairs["cluster.id"]
