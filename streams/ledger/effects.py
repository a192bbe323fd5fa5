"""What a decision wants done: records to send, notices for the log, counts for the metrics.

Rows are changed through `Rows`; everything else that a decision causes is collected here and becomes
visible, all of it or nothing, with the Kafka transaction that also carries the rows.
"""

from __future__ import annotations

import msgspec

from schemas.reasons import RECOMMENDATIONS, Reason
from schemas.topics import DEAD_LETTERS
from streams.ledger.terms import Source

MAX_EFFECTS = 2_000
"""No command emits more; what is left is done by a `Continue`."""

Headers = list[tuple[str, bytes]]


class Send(msgspec.Struct, gc=False):
    """One record. `own` sends it to the partition that is being decided, whatever its key."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers | None = None
    own: bool = False


class Notice(msgspec.Struct, gc=False):
    """Something that the person on call should read. `level` is "info", "warning" or "error"."""

    level: str
    event: str
    fields: dict[str, str | int]


class Effects:
    """Collects the effects of the commands of one batch, in order."""

    __slots__ = ("decisions", "notices", "sends")

    def __init__(self) -> None:
        self.sends: list[Send] = []
        self.notices: list[Notice] = []
        self.decisions: dict[str, int] = {}

    def count(self, outcome: str) -> None:
        """Count one decision under its reason ("" = taken)."""
        self.decisions[outcome] = self.decisions.get(outcome, 0) + 1

    def dead_letter(
        self, source: Source, value: bytes | None, reason: Reason, error: str, failed_at_ms: int
    ) -> None:
        """The original key and bytes to `dead-letters`, with what happened and what to do about it."""
        headers = [
            *source.headers(),
            ("reason", reason.value.encode()),
            ("error", error.encode()),
            ("recommendation", RECOMMENDATIONS[reason].encode()),
            ("failed-at", iso_utc(failed_at_ms).encode()),
        ]
        self.sends.append(Send(DEAD_LETTERS, source.key, value, headers))


def iso_utc(at_ms: int) -> str:
    """ISO 8601 UTC with milliseconds and `Z`, from Unix milliseconds (years 1970 to 9999)."""
    seconds, millis = divmod(at_ms, 1000)
    days, rest = divmod(seconds, 86_400)
    year, month, day = _civil(days)
    hour, rest = divmod(rest, 3_600)
    minute, second = divmod(rest, 60)
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}.{millis:03d}Z"


def _civil(days: int) -> tuple[int, int, int]:
    """Days since 1970-01-01 to (year, month, day): Howard Hinnant's `civil_from_days`."""
    z = days + 719_468
    era, doe = divmod(z, 146_097)
    yoe = (doe - doe // 1_460 + doe // 36_524 - doe // 146_096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    mp = (5 * doy + 2) // 153
    month = mp + 3 if mp < 10 else mp - 9
    return yoe + era * 400 + (month <= 2), month, doy - (153 * mp + 2) // 5 + 1
