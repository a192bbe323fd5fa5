"""Dead letters: what cannot be read or decided goes to `dead-letters`, its key and bytes unchanged.

This is the only way there, for intake and for every stage: one record whose headers say what happened and
what to do, one count under its reason, one line in the log. The headers' model is in schemas/headers.py.
Of what is too large for the topic, only the headers are there.
"""

from __future__ import annotations

from schemas.reasons import RECOMMENDATIONS, Reason
from schemas.times import iso_utc
from schemas.topics import DEAD_LETTERS, MAX_INPUT_BYTES
from streams.ledger.effects import Effects, Notice, Send
from streams.ledger.terms import Source


def dead_letter(
    source: Source,
    value: bytes | None,
    reason: Reason,
    error: str,
    failed_at_ms: int,
    effects: Effects,
    **subject: str,
) -> None:
    """Turn the message of `source` away: `error` says in one sentence what is wrong.

    `subject` names for the log what the message is about, as far as it is known: `promotion`, `order`.
    """
    recommendation, key = RECOMMENDATIONS[reason], source.key
    if len(value or b"") + len(key or b"") > MAX_INPUT_BYTES:
        error, value = f"{error} It is too large to be kept here.", None
        key = key if key and len(key) <= MAX_INPUT_BYTES else None
    headers = [
        *source.headers(),
        ("reason", reason.value.encode()),
        ("error", error.encode()),
        ("recommendation", recommendation.encode()),
        ("failed-at", iso_utc(failed_at_ms).encode()),
    ]
    effects.sends.append(Send(DEAD_LETTERS, key, value, headers))
    effects.count_dead_letter(reason)
    fields: dict[str, str | int] = {
        **subject,
        "topic": source.topic,
        "partition": source.partition,
        "offset": source.offset,
        "reason": reason.value,
        "error": error,
        "recommendation": recommendation,
    }
    effects.notices.append(Notice("warning", "dead_letter", fields))
