"""Runs `flashsale`: in a process of its own, warnings as errors, or faster in this one."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

from flashsale.cli import main

ROOT = Path(__file__).parent.parent.parent
TIMEOUT_S = 60.0
READ_BY_US = ("KAFKA_", "FLUENT_", "SIMULATOR_", "BRIDGE_", "TOPIC_PREFIX", "RESERVATION_CONFIG", "DATA_DIR")
FLASHSALE = (sys.executable, "-W", "error", "-m", "flashsale.cli")


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """What it wrote on standard output."""
        return self.out.splitlines()

    def refused(self, *words: str) -> bool:
        """Whether it ended as bad usage must: status 2, one sentence with these words, nothing else."""
        assert self.status == 2, self
        assert self.out == "", self
        assert len(self.err.splitlines()) == 1, self.err
        missing = [word for word in words if word not in self.err]
        assert not missing, (missing, self.err)
        return True


@dataclass(frozen=True)
class Command:
    """`flashsale` with an environment."""

    environment: Mapping[str, str]

    def __call__(self, *arguments: str, given: str | None = None, **changes: str) -> Done:
        """Run it to its end. `given` is its standard input, `changes` are changes of the environment."""
        done = subprocess.run(
            [*FLASHSALE, *arguments],
            env={**self.environment, **changes},
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            cwd=ROOT,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def running(self, *arguments: str, **changes: str) -> Iterator[subprocess.Popen[str]]:
        """Start it; it is killed at the end where the test did not end it."""
        process = subprocess.Popen(
            [*FLASHSALE, *arguments],
            env={**self.environment, **changes},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        with process:
            try:
                yield process
            finally:
                process.kill()


@dataclass(frozen=True)
class InProcess:
    """`flashsale` with an environment, in this process: for answers and sentences, not for signals."""

    environment: Mapping[str, str]
    captured: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str, given: str = "", **changes: str) -> Done:
        """Run it to its end, as a `Command` would."""
        self.captured.readouterr()
        with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended, own_logs():
            for name in [name for name in os.environ if name.startswith(READ_BY_US)]:
                patch.delenv(name)
            for name, value in {**self.environment, **changes}.items():
                patch.setenv(name, value)
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
            main(arguments)
        out, err = self.captured.readouterr()
        return Done(int(ended.value.code or 0), out, err)


@contextmanager
def own_logs() -> Iterator[None]:
    """A command sets up the logs of its process; here they are put back afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.captureWarnings(False)
        structlog.reset_defaults()


def finished(process: subprocess.Popen[str]) -> Done:
    """How a process that runs ended."""
    out, err = process.communicate(timeout=TIMEOUT_S)
    return Done(process.returncode, out, err)
