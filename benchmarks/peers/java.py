"""Kafka Streams: its jars from a lock like the embedded Kafka's, its program compiled on the spot."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from rehearsal.kafka.jars import fetch_jars

LOCK = Path(__file__).with_name("streams.lock")
SOURCE = Path(__file__).parent / "programs" / "Sale.java"
STREAMS = "Kafka Streams (75 MB)"
LEAST = 17
LOGGING = """\
<Configuration status="error"><Appenders><Console name="console" target="SYSTEM_ERR"/></Appenders>
<Loggers><Root level="warn"><AppenderRef ref="console"/></Root></Loggers></Configuration>
"""


def missing() -> str:
    """What there is no JDK for, or "" when there is one."""
    compiler = shutil.which("javac")
    if compiler is None:
        return (
            f"A JDK of version {LEAST} or newer is needed (Debian: apt-get install openjdk-17-jdk-headless)."
        )
    told = subprocess.run([compiler, "-version"], capture_output=True, text=True, check=False)
    found = re.search(r"(\d+)", told.stdout + told.stderr)
    if found is None or int(found[1]) < LEAST:
        version = found[1] if found else "unknown"
        return f"{compiler} is of version {version}; a JDK of version {LEAST} or newer is needed."
    return ""


def command(directory: Path, topology: str) -> list[str]:
    """Compile the program into `directory`, unless it is there, and return how it is started.

    Raises EmbeddedKafkaError when the jars cannot be had, RuntimeError when the compiler refuses.
    """
    compiler = shutil.which("javac")
    assert compiler is not None
    jars = os.pathsep.join(str(jar) for jar in (*fetch_jars(LOCK, what=STREAMS), *fetch_jars()))
    classes = directory / "classes"
    if not classes.exists():
        classes.mkdir()
        (classes / "log4j2.xml").write_text(LOGGING)
        done = subprocess.run(
            [compiler, "-cp", jars, "-d", str(classes), str(SOURCE)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"javac refuses {SOURCE.name}:\n{done.stderr[-2000:]}")
    java = Path(compiler).resolve().with_name("java")
    return [str(java), "-Xmx1g", "-cp", f"{classes}{os.pathsep}{jars}", "Sale", topology]
