"""`python -m benchmarks --against REVISION`: the same work for two trees, by the wire contract only."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.__main__ import EXIT_TERMINATED, main
from benchmarks.open_loop import offer
from benchmarks.result import BOUND, Arena, Result, Row, table
from benchmarks.subject import HERE, TODAY, NoRevisionError, checked_out
from benchmarks.trial import Trial
from tests.support.kafka import KafkaUnderTest
from tests.support.system import wait_until

ORDERS = 300

in_git = pytest.mark.skipif(not (HERE / ".git").exists(), reason="another revision needs the Git repository")


@pytest.fixture
def arena(kafka: KafkaUnderTest, tmp_path: Path) -> Arena:
    return Arena(kafka.bootstrap, os.getpid(), tmp_path)


@pytest.mark.kafka
@pytest.mark.slow
def test_what_has_piled_up_is_decided_after_ready_and_each_order_of_an_open_loop_is_waited_for(
    arena: Arena,
) -> None:
    with Trial(arena, TODAY, 2, 5) as trial:
        trial.place(ORDERS, 3, keyed_by_ref=False)
        ready = trial.start_worker()
        assert ready < trial.wait_decided(ORDERS) < ready + 60
        assert trial.cpu_s() > 0 and trial.rss_mb() > 0
    with Trial(arena, TODAY, 2, 5) as trial:
        trial.start_worker()
        _, taken, missing = offer(trial, 100, 2, skus=5)
        assert missing == 0
        assert len(taken) == 200 and all(0 < each < 60 for each in taken)


@in_git
def test_a_revision_is_checked_out_with_its_command(tmp_path: Path) -> None:
    subject = checked_out("HEAD", tmp_path)
    assert subject.tree.parent == tmp_path
    assert subject.command("worker") == TODAY.command("worker") == ["flashsale.cli", "worker"]


@in_git
def test_a_run_that_is_terminated_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "path", "--against", "HEAD"]
    process = subprocess.Popen(command, cwd=HERE, env={**os.environ, "TMPDIR": str(tmp_path)})
    try:
        wait_until(lambda: list(tmp_path.glob("*/tree-*")), "the revision is checked out")
        process.terminate()
        assert process.wait(30) == EXIT_TERMINATED
    finally:
        process.kill()
    assert list(tmp_path.iterdir()) == []


@in_git
def test_a_revision_that_there_is_not_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NoRevisionError, match="rev-parse failed"):
        checked_out("no-such-revision", tmp_path)
    assert main(["path", "--against", "no-such-revision"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_benchmark_that_there_is_not_is_named_with_those_that_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["pathway"])
    assert ended.value.code == 2
    assert "pathway; there are: raw, stage, path" in capsys.readouterr().err


def test_of_rates_more_is_better_and_of_everything_else_less() -> None:
    fast, slow = Result("path", 300, "/s"), Result("path", 100, "/s")
    assert fast.times(slow) == 3 and fast.better(slow) is fast
    early, late = Result("latency", 50, "ms p50"), Result("latency", 200, "ms p50")
    assert early.times(late) == 4 and late.better(early) is early


def test_the_table_has_the_former_code_beside_todays_where_it_can_be_compared() -> None:
    rows = [
        Row([Result(BOUND, 1_000, "/s", "the bound")]),
        Row([Result("path", 300, "/s"), Result("path", 100, "/s")]),
    ]
    shown = io.StringIO()
    Console(width=120, file=shown).print(table(rows, ["today", "7c4ba80"]))
    *_, bound, path, _ = shown.getvalue().splitlines()
    assert "1,000 /s" in bound and "100%" in bound
    assert [cell.strip() for cell in path.strip("│").split("│")][:4] == ["path", "300 /s", "100 /s", "3.00"]
    assert "30%" in path
