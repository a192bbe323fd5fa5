"""A worker that would only fail again stays out of its group, says why, and goes on by itself."""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psutil
import pytest
from confluent_kafka.admin import AdminClient

from agents.shell import take
from flashsale.admin import create_topics
from flashsale.supervisor import SETTLED_S, FailedTakeovers
from flashsale.worker.outside import unusable
from streams.engine.unprocessable import RecordFailed
from streams.settings import load_settings
from tests.flashsale.command import Command
from tests.flashsale.test_processes import said, terminated
from tests.streams.engine.test_store import cut_short, full_disk
from tests.support.fluent import FluentSimulator


@pytest.fixture(scope="module")
def fluent() -> Iterator[FluentSimulator]:
    with FluentSimulator({"SKU-001": {"LOC-1": 100}}) as simulator:
        yield simulator


@pytest.fixture
def flashsale(environment: dict[str, str], tmp_path: Path, fluent: FluentSimulator) -> Command:
    config = tmp_path / "config.json"
    config.write_text('{"partitions": 1}')
    command = Command({**environment, "RESERVATION_CONFIG": str(config), **fluent.environment()})
    create_topics(load_settings(command.environment))
    return command


def log_line(process: subprocess.Popen[str], event: str) -> dict[str, object]:
    assert process.stderr is not None
    line: dict[str, object] = json.loads(next(each for each in process.stderr if f'"{event}"' in each))
    return line


def child(process: subprocess.Popen[str]) -> psutil.Process:
    [found] = psutil.Process(process.pid).children()
    return found


def readyz(url: object) -> str:
    try:
        with urllib.request.urlopen(str(url), timeout=5) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as refused:
        return refused.read().decode()


def test_a_worker_with_a_full_disk_stays_out_of_its_group_until_there_is_room(
    flashsale: Command, admin: AdminClient
) -> None:
    with ExitStack() as stack:
        with full_disk():
            process = stack.enter_context(flashsale.running("worker", "--health-port", "0"))
        url = log_line(process, "health")["url"]
        told = log_line(process, "disk_unusable")
        assert "File too large" in str(told["why"]) and "DATA_DIR" in str(told["recommendation"])
        assert "cannot be used: File too large" in readyz(url)
        group = f"{flashsale.environment['TOPIC_PREFIX']}flashsale"
        described = admin.describe_consumer_groups([group])[group].result(20)
        assert described.members == []
        _, hard = resource.prlimit(child(process).pid, resource.RLIMIT_FSIZE)
        resource.prlimit(child(process).pid, resource.RLIMIT_FSIZE, (hard, hard))
        said(process, "ready")
        assert readyz(url) == "ready\n"
        assert terminated(process).status == 0


def test_a_worker_whose_files_are_damaged_reads_its_rows_back(flashsale: Command) -> None:
    with flashsale.running("worker") as process:
        said(process, "ready")
        terminated(process)
    cut_short(Path(flashsale.environment["DATA_DIR"]) / "task-0")
    with flashsale.running("worker") as process:
        before = said(process, "ready")
        assert [line for line in before if '"rows_thrown_away"' in line]
        assert not [line for line in before if '"worker_restarts"' in line]
        assert terminated(process).status == 0


def failed(data_dir: Path, times: int) -> FailedTakeovers:
    """The count after so many processes that ended while they took their tasks over."""
    for _ in range(times):
        FailedTakeovers(data_dir).began()
    return FailedTakeovers(data_dir)


def test_after_three_failed_takeovers_a_worker_waits_longer_each_time(tmp_path: Path) -> None:
    waits = [failed(tmp_path, 1).wait_s for _ in range(9)]
    assert waits == [0, 0, 15, 30, 60, 120, 240, 300, 300]


def test_a_takeover_counts_once_however_often_the_group_rebalances_meanwhile(tmp_path: Path) -> None:
    now = 0.0
    takeovers = FailedTakeovers(tmp_path, lambda: now)
    takeovers.began()
    takeovers.began()
    assert takeovers.count == 1
    takeovers.succeeded()
    now = SETTLED_S
    takeovers.look()
    assert takeovers.count == 0
    takeovers.began()
    assert takeovers.count == 1


def test_a_worker_that_ends_soon_after_its_takeover_has_failed_to_take_over(tmp_path: Path) -> None:
    now = 0.0
    takeovers = FailedTakeovers(tmp_path, lambda: now)
    takeovers.began()
    takeovers.succeeded()
    now = SETTLED_S - 1
    takeovers.look()
    assert takeovers.count == FailedTakeovers(tmp_path).count == 1
    takeovers.began()  # the group rebalances, and what is taken over now has to settle, too
    takeovers.succeeded()
    now = SETTLED_S
    takeovers.look()
    assert takeovers.count == 1
    now = 2 * SETTLED_S
    takeovers.look()
    assert takeovers.count == 0


def test_a_record_that_ends_a_worker_keeps_it_out_of_no_group(tmp_path: Path) -> None:
    """It is a dead letter the third time: several of them in a row are no fault of the worker's."""
    hooks = SimpleNamespace(on_record_failed=failed(tmp_path, 2).forget, die=lambda why: None)
    event: Any = SimpleNamespace(message=SimpleNamespace(value=SimpleNamespace(source="t/0", start=7)))

    async def handle(_: object) -> None:
        raise errors.pop()

    errors = [LookupError("ours"), RecordFailed("t/0", 7, LookupError("ours"))]
    counts = []
    while errors:
        asyncio.run(take(cast("Any", SimpleNamespace(hooks=hooks)), event, handle))
        counts.append(FailedTakeovers(tmp_path).count)
        failed(tmp_path, 1)
    assert counts == [0, 1]


def test_a_count_that_cannot_be_read_or_written_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "failed-takeovers").write_bytes(b"\xff")
    assert failed(tmp_path, 1).count == 1
    takeovers = failed(tmp_path / "missing", 2)
    takeovers.forget()
    assert (takeovers.count, takeovers.wait_s) == (0, 0)


def test_caches_are_kept_where_there_is_room_and_thrown_away_where_there_is_none(tmp_path: Path) -> None:
    cache, other = tmp_path / "task-0", tmp_path / "bridge"
    cache.mkdir()
    other.mkdir()
    assert unusable(tmp_path) is None
    assert cache.exists()
    with full_disk():
        assert unusable(tmp_path) == "File too large"
    assert not cache.exists()
    assert sorted(tmp_path.iterdir()) == [other]


def test_a_data_directory_that_is_none_is_not_usable(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"")
    assert unusable(path) == "File exists"


def test_a_worker_that_ends_three_times_right_after_its_takeover_stays_outside_until_it_is_restarted(
    flashsale: Command,
) -> None:
    with flashsale.running("worker", "--health-port", "0") as process:
        said(process, "ready")
        for _ in range(2):
            child(process).kill()
            said(process, "ready")
        child(process).kill()
        url = log_line(process, "health")["url"]
        assert log_line(process, "stays_outside")["failed_takeovers"] == 3
        assert "3 takeovers in a row have failed" in readyz(url)
        assert terminated(process).status == 0
    with flashsale.running("worker") as process:
        before = said(process, "ready")
        assert not [line for line in before if '"stays_outside"' in line]
        assert terminated(process).status == 0
