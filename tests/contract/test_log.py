"""Logs go to standard error, one JSON object a line, and give no secret away."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from streams.log import REDACTED, redact


def logged(statements: str) -> list[dict[str, Any]]:
    """What a process of its own logs that runs `statements`; nothing may reach its standard output."""
    prelude = "import logging, streams.log as l; l.configure(); log = l.get_logger('worker');"
    run = subprocess.run(
        [sys.executable, "-c", f"{prelude} {statements}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert run.stdout == ""
    return [json.loads(line) for line in run.stderr.splitlines()]


def test_a_line_is_json_with_its_time_level_and_facts() -> None:
    (line,) = logged("log.warning('claim_refused', sku='SKU-1', reason='EXHAUSTED')")
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "claim_refused",
        "level": "warning",
        "logger": "worker",
        "sku": "SKU-1",
        "reason": "EXHAUSTED",
    }


def test_libraries_are_heard_from_warning_on() -> None:
    lines = logged(
        "[logging.getLogger(n).log(v, 'from %s', n) for n in ('faust.app', 'aiokafka', 'uvicorn.error')"
        " for v in (20, 30)]"
    )
    assert [(line["event"], line["level"]) for line in lines] == [
        ("from faust.app", "warning"),
        ("from aiokafka", "warning"),
        ("from uvicorn.error", "warning"),
    ]


def test_an_exception_stays_on_one_line() -> None:
    (line,) = logged("\ntry: 1 / 0\nexcept ZeroDivisionError: log.exception('broken')")
    assert "ZeroDivisionError: division by zero" in line["exception"]


def test_our_own_lines_below_the_level_are_left_out() -> None:
    assert [line["event"] for line in logged("log.debug('quiet'); log.info('loud')")] == ["loud"]


def test_values_that_look_like_secrets_are_redacted_at_any_depth() -> None:
    event = {
        "event": "login",
        "client_secret": "hush",
        "headers": {"Authorization": "bearer hush", "x": 1, "inner": {"Password": "hush"}},
        "sku": "SKU-1",
    }
    seen = redact(None, "info", event)
    assert "hush" not in json.dumps(seen)
    assert seen["headers"]["inner"]["Password"] == REDACTED
    assert (seen["event"], seen["sku"], seen["headers"]["x"]) == ("login", "SKU-1", 1)


def test_a_librarys_secret_is_redacted_too() -> None:
    (line,) = logged("logging.getLogger('httpx').warning('login', extra={'access_token': 'hush'})")
    assert line["access_token"] == REDACTED
