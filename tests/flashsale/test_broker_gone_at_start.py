"""A broker that goes away between the worker's check and its first connection: an outage."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from rehearsal.kafka.config import free_port
from tests.flashsale.command import ROOT, TIMEOUT_S

START = """
import sys
from pathlib import Path
from flashsale.worker import process
from streams.settings import load_settings
process.check_broker = lambda settings: None  # it was there a moment ago
process.require_topics = lambda settings: []
environment = {"KAFKA_BOOTSTRAP_SERVERS": sys.argv[1], "DATA_DIR": sys.argv[2], "FLUENT_BASE_URL": "http://127.0.0.1:9"}
process.run(load_settings(environment), None)
"""


def test_a_broker_that_goes_away_while_a_worker_starts_is_status_69_and_a_line(tmp_path: Path) -> None:
    """Seen in a sale of 100,000 orders: status 1, "an error that nobody expected", and a trace."""
    nobody = f"127.0.0.1:{free_port()}"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", START, nobody, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 69, done.stderr
    assert "no_broker" in done.stderr
    assert nobody in done.stderr
    assert "Traceback" not in done.stderr
