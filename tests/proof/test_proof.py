"""The command that proves: what it tries stands in its log, and what is wrong fails it."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.faults.long_sale.timeline import Fault, Sample, Timeline
from tests.proof import __main__ as proof
from tests.proof.faults import as_fields, plot
from tests.proof.log import Log, circumstances
from tests.proof.seeds import Tried
from tests.simulation.bugs import BUGS


def read(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_group_of_seeds_is_a_line_of_the_log(tmp_path: Path) -> None:
    log = Log(tmp_path / "new" / "proof.jsonl")
    proof.seeds(log, "cores", 5, 3)
    (line,) = read(tmp_path / "new" / "proof.jsonl")
    assert (line["kind"], line["first"], line["count"], line["failed"]) == ("seeds", 5, 3, [])
    assert line["orders"] and log.violations == 0


def test_a_seed_that_fails_is_a_violation_that_says_how_to_repeat_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof, "simulate", lambda *_: [Tried(0, 2, 9, 9, 0.1, {1: "oversold"})])
    log = Log(tmp_path / "proof.jsonl")
    proof.seeds(log, "whole", 0, 2)
    _, line = read(tmp_path / "proof.jsonl")
    assert log.violations == 1
    assert (line["seed"], line["says"]) == (1, "oversold")
    assert line["repeat"] == "python -m tests.simulation --whole 1"


def test_a_planted_bug_that_survives_is_a_violation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(BUGS[0], 3, "oversold"), (BUGS[0], None, "")]
    monkeypatch.setattr(proof, "plant", lambda *_: iter(found))
    log = Log(tmp_path / "proof.jsonl")
    proof.bugs(log, "cores", 10)
    assert [line["kind"] for line in read(tmp_path / "proof.jsonl")] == ["bug", "bug"]
    assert log.violations == 1


def test_the_log_says_what_is_needed_to_repeat_a_proof() -> None:
    assert circumstances().keys() == {"commit", "command", "python", "system"}


def test_a_timeline_is_drawn_with_its_faults() -> None:
    told = Timeline(lambda: 0, lambda: 0, [Sample(0, 0, 0), Sample(1, 9, 4), Sample(2, 9, 9)])
    told.faults.append(Fault(0.5, 1.5, "A worker is killed & comes back"))
    drawn = ElementTree.fromstring(plot(told))  # noqa: S314
    texts = [element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert any(text and "A worker is killed & comes back" in text for text in texts)
    assert as_fields(told)["samples"][1] == [1, 9, 4]


def test_a_timeline_watches_while_it_is_open() -> None:
    with Timeline(lambda: 3, lambda: 2) as told:
        with told.during("nothing"):
            pass
        while not told.samples:
            pass
    assert (told.samples[0].sent, told.samples[0].decided) == (3, 2)
    assert told.faults[0].what == "nothing"
