"""A dead letter that comes back: whether it would be read this time, and what is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from flashsale.dead_letters.letter import DeadLetter
from schemas.invalid import InvalidEvent
from schemas.normalised import read
from schemas.reasons import Reason
from schemas.topics import INPUTS
from streams.settings import Settings
from streams.settings.mapping import map_message

REPLAYED_FROM = "replayed-from"
"""Header of a record that was replayed: the id of the message that was turned away."""
REPLAYED_REASON = "replayed-reason"
"""Header: why that message was turned away."""
REPLAYED_EDITED = "replayed-edited"
"""Header `true`, where a person has changed its bytes."""


@dataclass(frozen=True, slots=True)
class Resending:
    """What would be sent in a dead letter's place. `refused` says why it would not, else it is empty."""

    letter: DeadLetter
    value: bytes | None
    refused: str

    @property
    def edited(self) -> bool:
        """Whether other bytes than the original are sent."""
        return self.value != self.letter.value

    @property
    def state(self) -> Literal["ok", "refused"]:
        """`ok` or `refused`."""
        return "refused" if self.refused else "ok"

    def headers(self) -> list[tuple[str, str | bytes | None]]:
        """What marks the record as replayed."""
        marks: list[tuple[str, str | bytes | None]] = [
            (REPLAYED_FROM, self.letter.id.encode()),
            (REPLAYED_REASON, self.letter.reason.encode()),
        ]
        return [*marks, (REPLAYED_EDITED, b"true")] if self.edited else marks


def each_message_once(letters: Sequence[DeadLetter]) -> list[DeadLetter]:
    """The newest dead letter of each message: one that was replayed in vain has been turned away again."""
    newest = {_message(letter): letter for letter in letters}
    return [letter for letter in letters if newest[_message(letter)] is letter]


def _message(letter: DeadLetter) -> tuple[str, bytes | str]:
    """What makes it the same as another; of two without their bytes nobody knows."""
    return letter.topic, letter.id if letter.value is None else letter.value


def resending(settings: Settings, letter: DeadLetter, value: bytes | None) -> Resending:
    """Judge a dead letter, with these bytes in place of its own, by the configuration as it is now.

    Nothing is sent that would come back: what still cannot be read, and a conflict with the same content.
    """
    return Resending(letter, value, _refusal(settings, letter, value))


def _refusal(settings: Settings, letter: DeadLetter, value: bytes | None) -> str:
    if letter.topic not in INPUTS:
        return f"it was no event: {letter.topic} is written by the workers alone"
    mapping = settings.mappings.get(letter.topic)
    try:
        read(letter.topic, value if mapping is None else map_message(mapping, value))
    except InvalidEvent as invalid:
        return f"it would be INVALID again: {invalid.error}"
    if letter.reason == Reason.CONFLICT and value == letter.value:
        return "it would be a CONFLICT again: the first event under this reference stands (--edit changes it)"
    return ""
