"""Lines and tables on a terminal: the key is never cut, and no text becomes a command."""

from __future__ import annotations

import json
import sys

import pytest
from rich.text import Text

from flashsale.cli.console import print_table, printable_json, say_state

SKU = "SKU-WITH-A-LONG-NAME-000001"
COLUMNS = ("SKU", "reserved", "sold", "cancelled", "released", "in Fluent", "kind")


def at_a_terminal(patch: pytest.MonkeyPatch) -> None:
    """From now on standard output is a terminal of 80 columns."""
    patch.setenv("COLUMNS", "80")
    patch.setenv("TERM", "xterm")
    patch.delenv("NO_COLOR", raising=False)
    patch.setattr(sys.stdout, "isatty", lambda: True)


def shown(capsys: pytest.CaptureFixture[str], *rows: tuple[str, ...]) -> list[str]:
    print_table(COLUMNS, rows, numbers=COLUMNS[1:5])
    return capsys.readouterr().out.splitlines()


def test_a_column_without_content_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at_a_terminal(monkeypatch)
    lines = shown(capsys, (SKU, "1,500", "1,400", "0", "100", "", ""))
    assert "kind" not in lines[0] and "in Fluent" not in lines[0]
    assert lines[2].split() == [SKU, "1,500", "1,400", "0", "100"]


def test_text_is_folded_before_the_key_or_a_number_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at_a_terminal(monkeypatch)
    print_table(("SKU", "sold", "problem"), [(SKU, "123,456", "word " * 30)], numbers=("sold",))
    lines = [Text.from_ansi(line).plain for line in capsys.readouterr().out.splitlines()]
    assert all(len(line) <= 80 for line in lines)
    assert lines[2].split()[:2] == [SKU, "123,456"]
    assert " ".join(lines).count("word") == 30


def test_rows_are_stacked_where_a_terminal_is_too_narrow(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at_a_terminal(monkeypatch)
    wide = "S" * 60
    lines = shown(capsys, (wide, "1,500", "1,400", "0", "100", "ACTIVE", "HELD_TOO_MUCH"))
    assert lines[0] == wide
    assert [line.split() for line in lines[1:3]] == [["reserved", "1,500"], ["sold", "1,400"]]
    assert all(len(line) <= 80 for line in lines)


def test_nobody_at_a_terminal_gets_whole_lines(capsys: pytest.CaptureFixture[str]) -> None:
    wide = "S" * 200
    assert shown(capsys, (wide, *["1"] * 6))[2].split() == [wide, *["1"] * 6]


def test_a_state_has_its_colour_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at_a_terminal(monkeypatch)
    say_state("failed", "broker  nobody answers")
    assert "\x1b[1;31mfailed" in capsys.readouterr().out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False)
    say_state("failed", "broker  nobody answers")
    assert capsys.readouterr().out == "failed  broker  nobody answers\n"


def test_controls_of_a_cell_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, ("A\x9b2J\x1b[31m", *["1"] * 6))
    assert lines[2].startswith(r"A\x9b2J\x1b[31m ")


@pytest.mark.parametrize("text", ["plain", "Grün", "\x9b\u2028\u202e", "\U000e0001", "\x7f"])
def test_json_is_printable_and_means_the_same(text: str) -> None:
    made = printable_json(json.dumps({"sku": text}, ensure_ascii=False))
    assert made.isprintable() and json.loads(made) == {"sku": text}
