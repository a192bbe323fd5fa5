"""One worker per data directory, by a lock of the operating system that ends with its holders."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from streams.settings import ConfigurationError

LOCK_FILE = "worker.lock"

PATIENCE_S = 2.0
"""A worker that was killed a moment ago may still be on its way out."""

POLL_S = 0.05


@contextmanager
def locked(data_dir: Path) -> Iterator[int]:
    """Hold the lock of `data_dir`, which is created when missing; yields the file descriptor.

    A child that inherits the descriptor holds the lock too: it is free when both have ended.
    Raises ConfigurationError when another worker holds it, or the directory cannot be used.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(data_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise ConfigurationError(f"DATA_DIR {data_dir} cannot be used: {error.strerror}.") from None
    try:
        _take(descriptor, data_dir)
        with suppress(OSError):  # it only says who holds the lock, and a disk may be full
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _take(descriptor: int, data_dir: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise _taken(descriptor, data_dir) from None
        except OSError as error:
            raise ConfigurationError(
                f"DATA_DIR {data_dir} cannot be locked: {error.strerror}; put it on a disk of this machine."
            ) from None
        time.sleep(POLL_S)  # waiting in flock itself could not be bounded


def _taken(descriptor: int, data_dir: Path) -> ConfigurationError:
    holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
    return ConfigurationError(
        f"Another worker{f' (process {holder})' if holder else ''} runs on DATA_DIR {data_dir}; "
        "give each worker a directory of its own."
    )
