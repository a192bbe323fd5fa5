"""The actions that the protocol asks for, one small record each; and the error of a driver that errs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from streams.engine.ownership import Membership


class ProtocolError(RuntimeError):
    """The driver reported something that cannot happen in this state: a bug, not an outside condition."""


@dataclass(frozen=True, slots=True)
class TakeIds:
    """Initialise producers with new transactional ids, then report `ids_taken`."""


@dataclass(frozen=True, slots=True)
class FindOwners:
    """Read the group's offsets of these tasks' sources as they are: `owners_found`, or `refused`.

    The group is asked first whether `member` is still in it: a worker that was thrown out without knowing it
    must not fence its successors.
    """

    attempt: int
    tasks: tuple[str, ...]
    member: Membership


@dataclass(frozen=True, slots=True)
class FenceOff:
    """End what is open under these transactional ids, then report `fenced_off`."""

    attempt: int
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AwaitStable:
    """Read the offsets of these tasks' sources once no transaction is about to change them: `stable`."""

    attempt: int
    tasks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Restore:
    """Read the changelog to the end that it has from now on, then report `restored`.

    `again` is how often it fell short of the stable offsets: the marker reaches one log before the other.
    """

    attempt: int
    task: str
    again: int = 0


@dataclass(frozen=True, slots=True)
class Register:
    """Write `owner` ids and `member`'s generation beside these offsets: `registered` or `refused`."""

    attempt: int
    tasks: tuple[str, ...]
    member: Membership
    positions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class LetGo:
    """Write beside the offsets of these tasks that nothing of ours is open, then report `let_go`."""

    tasks: tuple[str, ...]
    member: Membership
    positions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Seek:
    """Continue reading `source` at `offset`."""

    source: str
    offset: int


@dataclass(frozen=True, slots=True)
class Decide:
    """Decide the batch that was offered, without its records below `from_offset`."""

    task: str
    source: str
    from_offset: int


@dataclass(frozen=True, slots=True)
class Commit:
    """Commit what these tasks have decided, with the positions of what moved, as one transaction.

    `offsets` go to the group: the sources that moved, and at least one source of every task.
    """

    tasks: tuple[str, ...]
    member: Membership
    offsets: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again (`pace_elapsed`) after `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Discard:
    """Forget every decision of this task that was not committed."""

    task: str


@dataclass(frozen=True, slots=True)
class StandsStill:
    """This task's transactions abort again and again although nothing else is in them: tell a person."""

    task: str
    why: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Close:
    """The task is not ours any more, and nothing of it is in flight: let go of its store."""

    task: str


Action = (
    TakeIds | FindOwners | FenceOff | AwaitStable | Restore | Register | LetGo | Seek | Decide | Commit | Wait
    | Discard | StandsStill | Close
)  # fmt: skip
