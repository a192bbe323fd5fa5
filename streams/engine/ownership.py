"""Who owns a task: what a worker is in its consumer group, and what it writes beside a committed offset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from msgspec import structs

from schemas.unreadable import UNREADABLE

Log = TypeVar("Log")


@dataclass(frozen=True, slots=True)
class Membership:
    """A worker's place in one generation of the consumer group, as it was when its tasks were granted."""

    generation: int
    member_id: str

    @property
    def valid(self) -> bool:
        """False for a member that was thrown out: the broker would take its commits unchecked."""
        return self.generation >= 0 and self.member_id != ""

    def continues(self, former: Membership) -> bool:
        """Whether nobody else can have owned what was ours in `former` and is ours again now.

        Each rebalance raises the generation by one, so a member that was in both neighbours missed none.
        """
        return self.member_id == former.member_id and 0 <= self.generation - former.generation <= 1


class Ownership(msgspec.Struct, frozen=True, rename="camel"):
    """The metadata of a committed offset: whose transactional ids may write about that source.

    `let_go` says that nothing of them is open any more, so a new owner need not fence them. `topic_id` says
    which topic of that name the offset belongs to.
    """

    ids: tuple[str, ...]
    generation: int
    let_go: bool = False
    topic_id: str = ""

    def encode(self) -> str:
        """The metadata string: JSON that a person can read with Kafka's own tools."""
        return _encode(self).decode()

    def beside(self, logs: Iterable[Log], topic_ids: Mapping[Log, str]) -> dict[Log, str]:
        """The metadata strings for the offsets of some logs."""
        ids = {log: topic_ids.get(log, "") for log in logs}
        texts = {each: structs.replace(self, topic_id=each).encode() for each in set(ids.values())}
        return {log: texts[topic_id] for log, topic_id in ids.items()}


def ids_to_fence(owners: Iterable[Ownership | None]) -> set[str]:
    """The ids that the newest owner of some sources has not let go of.

    A source that never moved may still name an older owner, which may be busy with other tasks.
    """
    found = [owner for owner in owners if owner is not None]
    newest = max((owner.generation for owner in found), default=-1)
    return {each for o in found if o.generation == newest and not o.let_go for each in o.ids}


def ownership_in(metadata: str) -> Ownership | None:
    """What a metadata string says, or None where it is not one of ours (Faust's own commits have none)."""
    try:
        found: Ownership = _decode(metadata)
    except UNREADABLE:
        return None
    return found


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Ownership).decode
