"""The README's first ten minutes as pasted: its own lines, with this test's broker and simulator."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flashsale.command import ROOT, TIMEOUT_S, Command
from tests.flashsale.test_processes import announced, said, terminated
from tests.support.system import wait_until

pytestmark = pytest.mark.slow


def blocks() -> list[str]:
    """The section's shell blocks, in order: broker and Fluent, start, a sale, an account of one's own."""
    section = (ROOT / "README.md").read_text().split("## The first ten minutes")[1].split("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


@pytest.fixture
def pasted(environment: dict[str, str], tmp_path: Path) -> Command:
    """Runs `flashsale`, which also stands in the PATH, as after `. .venv/bin/activate`."""
    shim = tmp_path / "bin" / "flashsale"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m flashsale.cli "$@"\n')
    shim.chmod(0o755)
    return Command(environment | {"PATH": f"{shim.parent}:{environment['PATH']}", "PYTHONPATH": str(ROOT)})


def bash(command: Command, lines: str) -> str:
    """Run pasted lines; returns standard output and error together."""
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", lines],
        env=command.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        timeout=2 * TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_a_stranger_gets_from_nothing_to_a_final_report(pasted: Command) -> None:
    _, prepare, sale, _ = blocks()
    with pasted.running("fluent-simulator", "--port", "0") as fluent:
        url = announced(fluent).partition("=")[2]
        here = pasted.environment["KAFKA_BOOTSTRAP_SERVERS"]
        prepare = prepare.replace("localhost:9092", here).replace("http://127.0.0.1:8080", url)
        *prepare_lines, worker = prepare.strip().splitlines()
        assert worker.startswith("flashsale worker")
        prepared = bash(pasted, "\n".join(prepare_lines))
        assert "created" in prepared and "failed" not in prepared
        with pasted.running("worker", FLUENT_BASE_URL=url) as process:
            said(process, "ready")
            *first, report = sale.strip().splitlines()
            told = bash(pasted, "\n".join(first))
            assert '"success":true' in told and '"outcome":"ACCEPTED"' in told
            final = wait_until(lambda: shows_final(pasted, report), "the report says FINAL", 90)
            assert re.search(r"SKU-001\s+10\s+2\s+0\s+8", final), final
            assert terminated(process).status == 0


def shows_final(command: Command, report: str) -> str | None:
    """What the report's line prints, once it is FINAL."""
    shown = bash(command, f"{report.partition('#')[0]} || true")
    return shown if "FINAL" in shown else None
