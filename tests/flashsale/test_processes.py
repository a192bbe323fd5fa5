"""The commands that stay in the foreground: what they announce, how they end."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from flashsale.admin import create_topics
from streams.settings import Settings
from tests.flashsale.command import TIMEOUT_S, Command, Done, InProcess, finished
from tests.support.fluent import FluentSimulator


@pytest.fixture(scope="module")
def fluent() -> Iterator[FluentSimulator]:
    with FluentSimulator({"SKU-001": {"LOC-1": 100}}) as simulator:
        yield simulator


def announced(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def said(process: subprocess.Popen[str], line: str) -> list[str]:
    """Read standard error up to a line; returns what stood before it."""
    assert process.stderr is not None
    before: list[str] = []
    for each in process.stderr:
        if each.strip() == line:
            return before
        before.append(each)
    raise AssertionError(f"never said {line!r}:\n{''.join(before)[-3000:]}")


def terminated(process: subprocess.Popen[str]) -> Done:
    process.terminate()
    return finished(process)


@pytest.mark.kafka
def test_the_embedded_kafka_announces_its_address_and_stops_cleanly(
    bare_environment: dict[str, str], tmp_path: Path
) -> None:
    flashsale = Command(bare_environment)
    with flashsale.running("kafka", "--data-dir", str(tmp_path)) as process:
        name, _, address = announced(process).partition("=")
        assert name == "KAFKA_BOOTSTRAP_SERVERS"
        created = flashsale("topics", KAFKA_BOOTSTRAP_SERVERS=address)
        assert (created.status, created.err) == (0, "")
        assert terminated(process) == Done(0, "", "")


def test_the_simulator_announces_its_address_and_stops_cleanly(
    bare_environment: dict[str, str], tmp_path: Path
) -> None:
    stock = tmp_path / "stock.json"
    stock.write_text(json.dumps({"SKU-001": {"LOC-1": 100}}))
    with Command(bare_environment).running(
        "fluent-simulator", "--port", "0", "--stock", str(stock)
    ) as process:
        name, _, url = announced(process).partition("=")
        assert name == "FLUENT_BASE_URL"
        with urllib.request.urlopen(f"{url}/_truth", timeout=TIMEOUT_S) as answer:
            assert json.load(answer)["SKU-001"]["available"] == 100
        assert terminated(process) == Done(0, "", "")


def test_a_stock_that_is_none_is_one_sentence(nowhere: InProcess, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.json")
    assert nowhere("fluent-simulator", "--port", "0", "--stock", missing).refused(missing)


def test_a_worker_serves_its_health_survives_a_kill_and_stops_cleanly(
    flashsale: Command, settings: Settings, capsys: pytest.CaptureFixture[str], fluent: FluentSimulator
) -> None:
    create_topics(settings)  # its own: it would answer what other tests have published
    environment = fluent.environment()
    with flashsale.running(
        "worker", "--health-port", "0", "--health-host", "localhost", **environment
    ) as process:
        log = said(process, "ready")
        assert Path(flashsale.environment["DATA_DIR"]).stat().st_mode & 0o777 == 0o700
        [url] = [json.loads(line)["url"] for line in log if '"event": "health"' in line]
        assert url.startswith("http://localhost:")
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            assert answer.read() == b"ready\n"
        again = InProcess(flashsale.environment, capsys)
        assert again("worker", **environment).refused("Another worker", "of its own")
        [child] = psutil.Process(process.pid).children()
        assert os.getpgid(child.pid) == os.getpgid(process.pid)
        child.kill()
        assert any("worker_restarts" in line for line in said(process, "ready"))
        done = terminated(process)
    assert (done.status, done.out) == (0, "")
    assert "Traceback" not in done.err


def test_a_worker_without_a_login_for_fluent_is_one_sentence(called_with_topics: InProcess) -> None:
    assert called_with_topics("worker").refused("FLUENT_BASE_URL")
