"""Which dead letters are meant: one by its id, or those that fit some filters."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import nlargest

from flashsale.dead_letters.letter import DeadLetter, read_dead_letters, without_bytes
from schemas.reasons import Reason
from streams.settings import ConfigurationError, Settings

UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


@dataclass(frozen=True, slots=True)
class Selection:
    """Filters, of which all must hold. `limit` takes the newest."""

    reason: str | None = None
    topic: str | None = None
    since_ms: int = 0
    limit: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether nothing is filtered."""
        return self == Selection()

    def find(self, settings: Settings, *, values: bool = True) -> list[DeadLetter]:
        """The dead letters that fit, oldest first; without their values where those are not wanted.

        Raises as `read_dead_letters` does.
        """
        fitting = filter(self._fits, read_dead_letters(settings, self.since_ms))
        wanted = fitting if values else map(without_bytes, fitting)
        # With a limit no more than that are kept, however many a flood has brought.
        return sorted(wanted if self.limit is None else nlargest(self.limit, wanted, _moment), key=_moment)

    def _fits(self, letter: DeadLetter) -> bool:
        return self.reason in (None, letter.reason) and self.topic in (None, letter.topic)


def _moment(letter: DeadLetter) -> tuple[int, str, int, int]:
    """Those of one moment stay in the order of their log."""
    return letter.at_ms, letter.topic, letter.partition, letter.offset


def by_id(settings: Settings, identity: str) -> DeadLetter:
    """The dead letter of the message `TOPIC/PARTITION/OFFSET`; its newest, should there be several.

    Raises ConfigurationError where there is none, and as `read_dead_letters` does.
    """
    wanted = identity.removeprefix(settings.topic_prefix)
    if not re.fullmatch(r"[^/]+/\d+/\d+", wanted):
        raise ConfigurationError(f"{identity} is not TOPIC/PARTITION/OFFSET, such as order-placed/0/17.")
    found = [letter for letter in read_dead_letters(settings) if letter.id == wanted]
    if not found:
        raise ConfigurationError(
            f"There is no dead letter {wanted}; `flashsale dead-letters list` shows them."
        )
    return found[-1]


def known_reason(name: str | None) -> str | None:
    """A reason as it is written in the headers. Raises ConfigurationError for one that does not exist."""
    if name is None or name.upper() in Reason.__members__:
        return None if name is None else name.upper()
    raise ConfigurationError(f"{name} is not a reason; these are: {', '.join(Reason.__members__)}.")


def moment_ms(text: str | None, now_ms: int) -> int:
    """`90s`, `30m`, `2h`, `1d` before now, or an ISO time (UTC unless it says otherwise); 0 for None.

    Raises ConfigurationError for anything else.
    """
    if text is None:
        return 0
    if ago := re.fullmatch(r"(\d{1,9})([smhd])", text):
        return max(1, now_ms - int(ago[1]) * UNIT_MS[ago[2]])
    try:
        moment = datetime.fromisoformat(text)
        return max(1, round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000))
    except (ValueError, OverflowError):
        raise ConfigurationError(
            f"{text} is no time; write 30m, 2h or 1d for what is that long ago, or 2025-11-28T09:00:00Z."
        ) from None
