"""The protocol against a model of Kafka, with every crash point: each source record counts exactly once.

And each rule of its recipe left out, which the same model must notice. Where one net lies under another,
either alone holds (that is seen, too), and only without both something falls through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from streams.engine.ownership import Membership
from streams.engine.protocol.actions import Action, Decide, ProtocolError
from streams.engine.protocol.task import TaskState
from streams.engine.protocol.worker import WorkerProtocol
from tests.streams.engine.model.sale import Sale

TestSale = Sale.TestCase
TestSale.settings = settings(max_examples=150, stateful_step_count=25)


class SaleOfNewLogs(Sale):
    """No source has a row yet: the first transaction after a takeover says where they begin."""

    broken = frozenset({"new logs"})


TestSaleOfNewLogs = SaleOfNewLogs.TestCase
TestSaleOfNewLogs.settings = TestSale.settings


def survives(broken: Iterable[str], examples: int = 2_000) -> None:
    """Run the model with rules left out. Raises AssertionError where something goes wrong."""
    world = type("Broken", (Sale,), {"broken": frozenset(broken)})
    run_state_machine_as_test(
        world,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            report_multiple_bugs=False,
        ),
    )


MUTANTS = [
    ["no fence"],
    ["no registration"],
    ["time-outs", "no fence", "no generation"],
    ["time-outs", "no fence", "generation of the moment"],
    ["commits a failed batch"],
    ["unknown is aborted"],
    ["unknown is committed"],
    ["time-outs", "no fence", "commits failed offsets"],
    ["restore to the stable end", "no look at positions"],
    ["restore to the stable end", "unstable offsets"],
    ["restore to the stable end", "offsets of one task"],
]
"""Steps that the driver must keep. "time-outs" is none of them: open transactions end by themselves then."""

NETS = ["commits failed offsets", "restore to the stable end", "no look at positions", "unstable offsets",
        "offsets of one task"]  # fmt: skip


def accepts_gaps(patch: pytest.MonkeyPatch) -> None:
    def received(task: TaskState, source: str, start: int, following: int, *, empty: bool) -> list[Action]:
        if not task.running or following <= task.expected[source]:
            return []
        start, task.expected[source] = max(start, task.expected[source]), following
        return [] if empty else [Decide(task.name, source, start)]

    patch.setattr(TaskState, "received", received)


def goes_on_after_an_abort(patch: pytest.MonkeyPatch) -> None:
    def forget(task: TaskState) -> None:
        task.pending, task.moved = 0, False
        task.expected = task.expected or dict(task.committed)

    patch.setattr(TaskState, "forget", forget)


def keeps_what_it_missed_a_generation_of(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Membership, "continues", lambda self, former: True)


def lets_go_with_a_transaction_open(patch: pytest.MonkeyPatch) -> None:
    def let_go(protocol: WorkerProtocol) -> list[Action]:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(WorkerProtocol, "quiet", property(lambda self: self.member is None))
            return original(protocol)

    original = WorkerProtocol._maybe_let_go
    patch.setattr(WorkerProtocol, "_maybe_let_go", let_go)


RULES = [accepts_gaps, goes_on_after_an_abort, keeps_what_it_missed_a_generation_of,
         lets_go_with_a_transaction_open]  # fmt: skip


@pytest.mark.parametrize("broken", MUTANTS, ids=" and ".join)
def test_a_step_of_the_recipe_left_out_is_noticed(broken: list[str]) -> None:
    with pytest.raises(AssertionError):
        survives(broken)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_rule_of_the_protocol_left_out_is_noticed(
    rule: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    rule(monkeypatch)
    with pytest.raises((AssertionError, ProtocolError)):
        survives([])


@pytest.mark.parametrize("broken", [[net] for net in NETS] + [["time-outs", "no fence"]], ids=" and ".join)
def test_one_of_two_nets_holds(broken: list[str]) -> None:
    survives(broken, 150)
