"""The barrier passes a time only when everything that was written up to then is decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from streams.engine.barrier import (
    ENDS_AGAIN,
    Barrier,
    Blocked,
    Logs,
    Partition,
    Passed,
    ReadEnds,
    ReadPositions,
    Step,
)

ORDERS = ("order-placed", 0)
MORE_ORDERS = ("order-placed", 1)
COMMANDS = ("order-commands", 0)


def test_a_quiet_system_passes_with_four_questions_in_one_look() -> None:
    barrier = Barrier(5_000)
    assert barrier.look() == ReadEnds(Logs.INPUTS)
    assert barrier.ends({ORDERS: 7}) == ReadPositions((ORDERS,))
    assert barrier.positions({ORDERS: 7}) == ReadEnds(Logs.COMMANDS)
    assert barrier.ends({COMMANDS: 9}) == ReadPositions((COMMANDS,))
    assert barrier.positions({COMMANDS: 12}) == Passed(5_000)


def test_logs_in_which_nothing_was_ever_written_need_no_position() -> None:
    barrier = Barrier(5_000)
    assert barrier.ends({ORDERS: 0}) == ReadEnds(Logs.COMMANDS)
    assert barrier.ends({COMMANDS: 0}) == Passed(5_000)


def test_a_partition_that_stands_still_is_named_with_what_it_is_behind() -> None:
    barrier = Barrier(5_000)
    barrier.ends({ORDERS: 7, MORE_ORDERS: 100})
    assert barrier.positions({ORDERS: 7, MORE_ORDERS: 60}) == Blocked({MORE_ORDERS: 40})
    assert barrier.look() == ReadPositions((MORE_ORDERS,))
    assert barrier.positions({MORE_ORDERS: 100}) == ReadEnds(Logs.COMMANDS)


def test_a_partition_that_the_group_never_committed_holds_the_barrier() -> None:
    barrier = Barrier(5_000)
    barrier.ends({ORDERS: 7})
    assert barrier.positions({ORDERS: None}) == Blocked({ORDERS: 7})


def test_a_partition_without_a_leader_holds_the_barrier_and_all_ends_are_read_again() -> None:
    barrier = Barrier(5_000)
    assert barrier.ends({ORDERS: 7, MORE_ORDERS: None}) == Blocked({MORE_ORDERS: None})
    assert barrier.look() == ReadEnds(Logs.INPUTS)


def test_the_ends_of_the_commands_are_read_after_the_inputs_are_decided_not_with_theirs() -> None:
    barrier = Barrier(5_000)
    barrier.ends({ORDERS: 7})
    barrier.positions({ORDERS: 3})
    assert barrier.look() == ReadPositions((ORDERS,))
    assert barrier.positions({ORDERS: 8}) == ReadEnds(Logs.COMMANDS)
    assert barrier.ends({COMMANDS: 2}) == ReadPositions((COMMANDS,))
    assert barrier.positions({COMMANDS: 0}) == Blocked({COMMANDS: 2})


def test_a_log_that_has_become_shorter_is_not_waited_for_beyond_its_end() -> None:
    """Its leader was lost with records that nobody else had: no message will ever stand there."""
    barrier = Barrier(5_000)
    barrier.ends({ORDERS: 7, MORE_ORDERS: 9})
    assert barrier.positions({ORDERS: 4, MORE_ORDERS: 4}) == Blocked({ORDERS: 3, MORE_ORDERS: 5})
    steps = [barrier.look() for _ in range(ENDS_AGAIN)]
    assert [step for step in steps if isinstance(step, ReadEnds)] == [ReadEnds(Logs.INPUTS)]
    assert barrier.ends({ORDERS: 4, MORE_ORDERS: None}) == ReadPositions((ORDERS, MORE_ORDERS))
    assert barrier.positions({ORDERS: 4, MORE_ORDERS: 5}) == Blocked({MORE_ORDERS: 4})


def test_a_log_that_grows_while_it_is_waited_for_is_not_waited_for_any_longer() -> None:
    barrier = Barrier(5_000)
    barrier.ends({ORDERS: 7})
    barrier.positions({ORDERS: 4})
    assert barrier.ends({ORDERS: 100, MORE_ORDERS: 50}) == ReadPositions((ORDERS,))
    assert barrier.positions({ORDERS: 7}) == ReadEnds(Logs.COMMANDS)


@dataclass
class World:
    """Two hops of logs: what is decided of an input stands, as one transaction, in a command log."""

    inputs: list[list[int]] = field(default_factory=lambda: [[] for _ in range(3)])
    """Append times, by partition."""
    commands: list[list[int]] = field(default_factory=lambda: [[] for _ in range(2)])
    """Append times of the inputs that each command came from."""
    read: list[int] = field(default_factory=lambda: [0] * 3)
    done: list[int] = field(default_factory=lambda: [0] * 2)
    now_ms: int = 0

    def answer(self, barrier: Barrier, step: Step) -> Step:
        if isinstance(step, ReadEnds):
            logs = self.inputs if step.logs is Logs.INPUTS else self.commands
            return barrier.ends({(step.logs.value, i): len(log) for i, log in enumerate(logs)})
        assert isinstance(step, ReadPositions)
        committed: Mapping[str, list[int]] = {Logs.INPUTS.value: self.read, Logs.COMMANDS.value: self.done}
        found: dict[Partition, int | None] = {(t, p): committed[t][p] or None for t, p in step.partitions}
        return barrier.positions(found)

    def undecided_up_to(self, at_ms: int) -> list[int]:
        waiting = [t for log, at in zip(self.inputs, self.read, strict=True) for t in log[at:]]
        waiting += [t for log, at in zip(self.commands, self.done, strict=True) for t in log[at:]]
        return [t for t in waiting if t <= at_ms]


@patch("streams.engine.barrier.ENDS_AGAIN", 2)
@given(st.data())
def test_no_message_up_to_a_passed_time_is_undecided_whatever_happens_between_the_questions(
    data: st.DataObject,
) -> None:
    world, barrier = World(), Barrier(0)
    step: Step | None = None
    for _ in range(data.draw(st.integers(10, 60))):
        match data.draw(st.sampled_from(("append", "read", "decide", "lose", "step", "step", "step"))):
            case "append":
                world.now_ms += 1
                world.inputs[data.draw(st.integers(0, 2))].append(world.now_ms)
            case "read":
                partition = data.draw(st.integers(0, 2))
                if world.read[partition] < len(world.inputs[partition]):
                    at_ms = world.inputs[partition][world.read[partition]]
                    world.read[partition] += 1
                    world.commands[data.draw(st.integers(0, 1))].append(at_ms)
            case "lose":
                partition = data.draw(st.integers(0, 2))
                log, read = world.inputs[partition], world.read[partition]
                del log[data.draw(st.integers(read, len(log))) :]
            case "decide":
                partition = data.draw(st.integers(0, 1))
                world.done[partition] = min(world.done[partition] + 1, len(world.commands[partition]))
            case "step":
                step = barrier.look() if step is None else world.answer(barrier, step)
                if isinstance(step, Passed):
                    assert world.undecided_up_to(step.at_ms) == []
                    barrier = Barrier(world.now_ms)
                if isinstance(step, Passed | Blocked):
                    step = None
