"""Logs go to standard error, one JSON object a line, and give no secret away."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from typing import Any

from streams.log import REDACTED, Repeats, redact


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


def on_a_terminal(statements: str) -> str:
    """What a process of its own writes where a person reads its log."""
    prelude = "import streams.log as l; l.configure(json=False); log = l.get_logger('worker');"
    command = [sys.executable, "-c", f"{prelude} {statements}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stderr


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


def test_an_exporter_of_spans_whose_collector_is_away_is_heard_once() -> None:
    repeats, failed = Repeats(every_s=10, clock=lambda: 0.0), "Failed to export batch code: %s"
    name = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
    lines = [logging.LogRecord(name, logging.ERROR, __file__, 1, failed, (503,), None) for _ in range(3)]
    assert [repeats.filter(each) for each in lines] == [True, False, False]


def test_a_library_that_repeats_itself_is_heard_once_with_what_was_kept_back() -> None:
    """Seen: a worker whose broker was away for an hour wrote 48 MB of aiokafka's refused connections."""
    seconds = [0.0]
    repeats = Repeats(every_s=10, clock=lambda: seconds[0])

    def kept_back(name: str, text: str, node: int) -> int | None:
        """How many lines the one that passes stands for, or None where it does not pass."""
        record = logging.LogRecord(name, logging.ERROR, __file__, 1, text, (node,), None)
        return getattr(record, "kept_back", 0) if repeats.filter(record) else None

    refused = "Unable connect to node %s"
    assert [kept_back("aiokafka.conn", refused, node) for node in (1, 2, 3)] == [0, None, None]
    assert kept_back("aiokafka.conn", "Failed fetch from %s", 1) == 0
    assert [kept_back("engine", refused, 1) for _ in range(2)] == [0, 0]
    seconds[0] = 10.0
    assert [kept_back("aiokafka.conn", refused, 1) for _ in range(2)] == [2, None]
    seconds[0] = 20.0
    assert kept_back("aiokafka.conn", refused, 1) == 1


def test_a_line_that_stands_for_others_says_for_how_many() -> None:
    lines = logged(
        "import itertools; ticks = itertools.count(0, 4);"
        " logging.getLogger().handlers[0].filters[0]._clock = lambda: next(ticks);"
        " [logging.getLogger('aiokafka').error('from %s', n) for n in range(4)]"
    )
    assert [(line["event"], line.get("kept_back")) for line in lines] == [("from 0", None), ("from 3", 2)]


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
        "logins": [{"user": "me", "password": "hush"}, ({"token": "hush"},)],
        "sku": "SKU-1",
    }
    seen = redact(None, "info", event)
    assert "hush" not in json.dumps(seen)
    assert seen["headers"]["inner"]["Password"] == REDACTED
    assert (seen["event"], seen["sku"], seen["headers"]["x"]) == ("login", "SKU-1", 1)


def test_a_trace_on_a_terminal_shows_no_local_variables() -> None:
    shown = on_a_terminal(
        "\ndef login(password):\n    raise ValueError('refused')\n"
        "try: login('hush')\nexcept ValueError: log.exception('login_failed')"
    )
    assert "ValueError: refused" in shown and "hush" not in shown


def test_a_long_reference_is_cut_and_says_how_long_it_was() -> None:
    (line,) = logged("log.warning('refused', ref='R' * 31_000, refs=['S' * 31_000])")
    assert line["ref"].endswith("… (31,000 characters)") and len(line["ref"]) < 1_100
    assert len(line["refs"][0]) < 1_100


def test_nothing_of_a_line_is_a_command_to_the_terminal() -> None:
    shown = on_a_terminal(r"log.warning('refused', sku='A\x9b2J\x1b[2J', nested={'b': '\x9b'})")
    assert "\x9b" not in shown and "\x1b[2J" not in shown
    assert r"A\x9b2J\x1b[2J" in shown


def test_nothing_that_an_error_says_is_a_command_to_the_terminal() -> None:
    shown = on_a_terminal(
        "\ntry: raise ValueError('A\\x9b2J\\x1b[2J')\nexcept ValueError: log.exception('stage_failed')"
    )
    assert "\x9b" not in shown and "\x1b[2J" not in shown
    assert "Traceback (most recent call last):\n" in shown and r"ValueError: A\x9b2J\x1b[2J" in shown


def test_what_an_error_says_is_cut_like_every_text() -> None:
    (line,) = logged(
        "\ntry: raise ValueError('R' * 31_000)\nexcept ValueError: log.exception('stage_failed')"
    )
    first, *_, last = line["exception"].splitlines()
    assert first.startswith("Traceback") and last.endswith("… (31,012 characters)") and len(last) < 1_100


def test_a_librarys_secret_is_redacted_too() -> None:
    (line,) = logged("logging.getLogger('httpx').warning('login', extra={'access_token': 'hush'})")
    assert line["access_token"] == REDACTED
