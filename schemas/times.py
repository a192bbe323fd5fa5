"""Moments as the topics write them: ISO 8601 in UTC with milliseconds; inside they are Unix milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_MS = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z: the last moment that ISO 8601 writes with four digits of year."""


def milliseconds(text: str) -> int:
    """Unix milliseconds of an ISO 8601 time with offset; what is finer than a millisecond is cut off.

    Raises ValueError where the calendar has no such moment, or it lies outside the years 1970 to 9999.
    """
    try:
        at_ms = (datetime.fromisoformat(text) - EPOCH) // timedelta(milliseconds=1)
    except ValueError as error:
        raise ValueError(f"must be a moment of the calendar ({error})") from error
    if not 0 <= at_ms <= LAST_MS:
        raise ValueError("must lie between the years 1970 and 9999 in UTC")
    return at_ms


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
