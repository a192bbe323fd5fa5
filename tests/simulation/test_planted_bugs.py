"""Bugs that are planted are noticed: else the simulation would prove nothing."""

from __future__ import annotations

import pytest

from tests.proof.seeds import first_to_notice
from tests.simulation.bugs import BUGS
from tests.simulation.noticed import NOTICED, SLOW
from tests.simulation.planting import Bug, planted
from tests.simulation.simulation import run

QUICK = 150
"""Seeds that are tried after the recorded one, which says nothing any more once the world has changed."""


@pytest.mark.parametrize("bug", [bug for bug in BUGS if bug.name not in SLOW], ids=lambda bug: bug.name)
def test_a_planted_bug_is_noticed(bug: Bug) -> None:
    seed, says = first_to_notice("cores", bug, QUICK)
    assert seed is not None, "python -m tests.proof --seeds 0 --runs 0 finds the seed to be recorded"
    assert says


def test_a_bug_is_gone_with_its_planting() -> None:
    bug = BUGS[0]
    with planted(bug), pytest.raises(AssertionError):
        run(NOTICED[bug.name])
    run(NOTICED[bug.name])


def test_no_two_bugs_have_one_name() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS)
    assert NOTICED.keys() == {bug.name for bug in BUGS}


def test_a_bug_that_does_not_fit_the_source_any_more_is_said_to() -> None:
    bug = Bug("nothing", "streams.ledger.rows:Rows.reset", "no such piece", "")
    with pytest.raises(ValueError, match="no such piece"), planted(bug):
        pass
