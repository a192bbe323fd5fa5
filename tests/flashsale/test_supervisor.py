"""The supervisor with stand-ins for the worker: restarts, bounded stops, no child left behind."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path

import psutil
import pytest

from flashsale.supervisor import Backoff, locked, supervise
from flashsale.supervisor.exits import NO_BROKER, described, final_status
from streams.settings import ConfigurationError
from tests.flashsale.command import ROOT, TIMEOUT_S
from tests.streams.engine.test_store import full_disk
from tests.support.system import is_gone, wait_until

SUPERVISE = """
import os, sys
from pathlib import Path
from streams.log import configure
from flashsale.supervisor import Backoff, locked, supervise
configure()
with locked(Path(sys.argv[1])) as lock:
    quick = Backoff(choose=lambda low, high: 0.05)
    sys.exit(supervise([sys.executable, "-c", sys.argv[2], sys.argv[1]], keep_open=[lock], backoff=quick,
                       stop_timeout_s=float(sys.argv[3])))
"""

FOREVER = "import signal, sys; print('started', file=sys.stderr, flush=True); signal.pause()"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{FOREVER}\nsignal.pause()"
POLITE = f"import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n{FOREVER}"

COUNTING = """
import os, pathlib, sys
starts = pathlib.Path(sys.argv[1], "starts")
count = len(starts.read_text()) + 1 if starts.exists() else 1
starts.write_text("x" * count)
"""


@contextmanager
def supervising(child: str, directory: Path, stop_timeout_s: float = 20) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SUPERVISE, str(directory), child, str(stop_timeout_s)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    with process, ExitStack() as stack:
        stack.callback(process.kill)
        yield process


def started(process: subprocess.Popen[str]) -> psutil.Process:
    """Wait for the child's line; returns the child."""
    assert process.stderr is not None
    for line in process.stderr:
        if line == "started\n":
            [child] = psutil.Process(process.pid).children()
            return child
    raise AssertionError("the child did not start")


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert out == ""
    return process.returncode, err


@pytest.mark.parametrize(("status", "final"), [(0, 0), (2, 2), (NO_BROKER, 2)])
def test_it_ends_with_a_child_that_another_start_would_not_mend(
    tmp_path: Path, status: int, final: int
) -> None:
    with supervising(f"import sys; sys.exit({status})", tmp_path) as process:
        assert ended(process) == (final, "")


@pytest.mark.parametrize("death", ["os._exit(70)", "os.kill(os.getpid(), 9)", f"os._exit({NO_BROKER})"])
def test_any_other_end_is_followed_by_a_new_start(tmp_path: Path, death: str) -> None:
    child = f"{COUNTING}\nos._exit(70) if count == 1 else {death} if count < 4 else sys.exit(0)"
    with supervising(child, tmp_path) as process:
        status, log = ended(process)
    assert status == 0
    assert (tmp_path / "starts").read_text() == "xxxx"
    assert log.count("worker_restarts") == 3


def test_no_broker_at_a_later_start_is_an_outage_and_no_mistake() -> None:
    assert final_status(NO_BROKER, 1) == 2
    assert final_status(NO_BROKER, 2) is None


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("child", [POLITE, FOREVER], ids=["polite", "without a handler"])
def test_a_signal_to_stop_reaches_the_child_and_ends_both(
    tmp_path: Path, child: str, signum: signal.Signals
) -> None:
    with supervising(child, tmp_path) as process:
        worker = started(process)
        process.send_signal(signum)
        assert ended(process)[0] == 0
    assert not worker.is_running()


def test_a_child_that_does_not_stop_is_killed_and_the_status_says_so(tmp_path: Path) -> None:
    with supervising(STUBBORN, tmp_path, stop_timeout_s=0.3) as process:
        worker = started(process)
        process.terminate()
        status, log = ended(process)
    assert status == 1
    assert "worker_killed" in log
    assert not worker.is_running()


def test_a_signal_during_the_pause_ends_it_at_once(tmp_path: Path) -> None:
    slow = SUPERVISE.replace("0.05", "60.0")
    with subprocess.Popen(
        [sys.executable, "-c", slow, str(tmp_path), "import os; os._exit(70)", "20"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stderr is not None
        assert "worker_restarts" in process.stderr.readline()
        process.terminate()
        assert process.wait(TIMEOUT_S) == 0


def test_supervisor_and_child_are_one_process_group(tmp_path: Path) -> None:
    with supervising(POLITE, tmp_path) as process:
        worker = started(process)
        assert os.getpgid(worker.pid) == os.getpgid(process.pid)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the pipe does it")
def test_a_child_dies_with_a_killed_supervisor(tmp_path: Path) -> None:
    with supervising(STUBBORN, tmp_path) as process:
        worker = started(process)
        process.kill()
        wait_until(lambda: is_gone(worker), "the worker is gone", TIMEOUT_S)


def test_the_workers_own_child_dies_when_its_pipe_closes() -> None:
    code = "import sys, time\nfrom streams.system import end_with\nend_with(0, 72)\ntime.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, cwd=ROOT)
    with process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(TIMEOUT_S) == 72


def test_a_second_worker_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    with supervising(POLITE, tmp_path) as process:
        started(process)
        with pytest.raises(ConfigurationError) as caught, locked(tmp_path):
            pass
    assert f"process {process.pid}" in str(caught.value)
    assert "a directory of its own" in str(caught.value)


def test_a_full_disk_takes_nothing_away_from_the_lock(tmp_path: Path) -> None:
    with full_disk(0), locked(tmp_path), pytest.raises(ConfigurationError), locked(tmp_path):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="needs a child that outlives its supervisor")
def test_the_lock_is_held_until_the_child_has_ended_too(tmp_path: Path) -> None:
    detached = (
        "import ctypes; ctypes.CDLL(None).prctl(1, 0)\n"  # as a child that is slow to die
        "import sys, time; print('started', file=sys.stderr, flush=True); time.sleep(600)"
    )
    with supervising(detached, tmp_path) as process:
        worker = started(process)
        process.kill()
        process.wait(TIMEOUT_S)
        try:
            with pytest.raises(ConfigurationError), locked(tmp_path):
                pass
        finally:
            worker.kill()
        wait_until(lambda: is_gone(worker), "the worker is gone", TIMEOUT_S)
        with locked(tmp_path):
            pass


def test_a_directory_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"DATA_DIR .*cannot be used: Not a directory"):
        locked(tmp_path / "file" / "data").__enter__()


def test_a_file_system_without_locks_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", without_locks)
    with pytest.raises(ConfigurationError, match="cannot be locked: No locks available"), locked(tmp_path):
        pass


def test_a_machine_without_room_for_a_process_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[Exception] = [
        BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)),
        subprocess.SubprocessError("Exception occurred in preexec_fn."),
    ]

    def start(command: Sequence[str], keep_open: Sequence[int]) -> subprocess.Popen[bytes]:
        if failures:
            raise failures.pop()
        return subprocess.Popen(command)

    monkeypatch.setattr(import_module("flashsale.supervisor.supervise"), "_start", start)
    quick = Backoff(choose=lambda low, high: 0.01)
    assert supervise([sys.executable, "-c", "raise SystemExit(2)"], backoff=quick) == 2
    assert not failures


def test_a_death_is_described_for_a_person() -> None:
    assert described(-35) == "signal 35"
    assert described(-signal.SIGKILL) == "signal SIGKILL, out of memory?"
    assert described(NO_BROKER) == "status 69 (no Kafka broker answered)"
    assert described(42) == "status 42"
