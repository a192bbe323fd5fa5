"""`flashsale kafka`: one line on standard output, and a signal ends it and its broker."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.rehearsal.kafka.clients import create_topic, produce, read

pytestmark = pytest.mark.kafka

TIMEOUT_S = 30.0

COMMAND = (
    "import sys; from pathlib import Path; from rehearsal.kafka import run_foreground;"
    "port = int(sys.argv[1]) if sys.argv[1] else None; data = Path(sys.argv[2]) if sys.argv[2:] else None;"
    "sys.exit(run_foreground(port, data))"
)


@contextmanager
def foreground(port: int | None = 0, data_dir: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run the command in a process of its own, killed at the end where the test did not end it."""
    arguments = ["" if port is None else str(port), *([str(data_dir)] if data_dir else [])]
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def ready_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_its_address_and_a_signal_ends_it_cleanly(signum: signal.Signals, tmp_path: Path) -> None:
    with foreground(data_dir=tmp_path) as process:
        name, _, bootstrap = ready_line(process).strip().partition("=")
        assert name == "KAFKA_BOOTSTRAP_SERVERS"
        create_topic(bootstrap, "orders")
        produce(bootstrap, "orders", b"one")
        assert read(bootstrap, "orders") == [b"one"]
        [broker] = psutil.Process(process.pid).children()
        os.kill(process.pid, signum)
        rest, errors = process.communicate(timeout=TIMEOUT_S)
        assert (process.returncode, rest, errors) == (0, "", "")
        assert not broker.is_running()


def test_a_taken_port_exits_2_with_one_sentence() -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        with foreground(stranger.getsockname()[1]) as process:
            printed, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 2
    assert printed == ""
    assert errors.startswith("Port ")
    assert len(errors.splitlines()) == 1


def test_a_broker_that_dies_exits_1_and_says_where_its_log_is(tmp_path: Path) -> None:
    with foreground(data_dir=tmp_path) as process:
        assert ready_line(process)
        [broker] = psutil.Process(process.pid).children()
        broker.kill()
        _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1
    assert str(tmp_path / "broker.log") in errors


def test_without_a_port_it_takes_the_usual_one_or_a_free_one_and_says_so(tmp_path: Path) -> None:
    with foreground(None, tmp_path) as process:
        port = int(ready_line(process).rpartition(":")[2])
        process.terminate()
        _, errors = process.communicate(timeout=TIMEOUT_S)
    assert port == 9092 or errors.startswith("Port 9092 is taken")
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # then somebody else has it, which is as good
            stranger.bind(("127.0.0.1", 9092))
            stranger.listen()
        with foreground(None, tmp_path) as process:
            assert int(ready_line(process).rpartition(":")[2]) != 9092
            process.terminate()
            _, errors = process.communicate(timeout=TIMEOUT_S)
        assert errors == "Port 9092 is taken; the embedded Kafka takes another one.\n"


def test_a_data_directory_in_use_is_refused_and_its_broker_goes_on(tmp_path: Path) -> None:
    with foreground(data_dir=tmp_path) as first:
        bootstrap = ready_line(first).strip().partition("=")[2]
        create_topic(bootstrap, "orders")
        before = {path: path.read_bytes() for path in (tmp_path / "server.properties", tmp_path / ".lock")}
        with foreground(data_dir=tmp_path) as second:
            printed, errors = second.communicate(timeout=TIMEOUT_S)
        assert (second.returncode, printed) == (2, "")
        assert errors.startswith(f"Another embedded Kafka uses the data directory {tmp_path}.")
        assert before == {path: path.read_bytes() for path in before}
        produce(bootstrap, "orders", b"one")
        assert read(bootstrap, "orders") == [b"one"]
