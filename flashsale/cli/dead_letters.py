"""`flashsale dead-letters list | show | replay`: what was turned away, and sending it once more."""

from __future__ import annotations

import json as json_codec
import sys
from typing import Annotated, Any

import typer

from flashsale.cli.console import complain, connected, print_table, say, say_json
from flashsale.cli.editing import edited
from flashsale.cli.sending import Sending, require_topic
from flashsale.dead_letters.letter import DeadLetter
from flashsale.dead_letters.resending import Resending, each_message_once, resending
from flashsale.dead_letters.selection import Selection, by_id, known_reason, moment_ms
from schemas.times import iso_utc
from streams.settings import ConfigurationError, Settings
from streams.system import now_ms

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

Id = Annotated[
    str, typer.Argument(metavar="ID", help="TOPIC/PARTITION/OFFSET of the message, as list shows.")
]
Reason = Annotated[str | None, typer.Option(help="Only with this reason, such as INVALID.")]
Topic = Annotated[str | None, typer.Option(help="Only from this topic, such as order-placed.")]
Since = Annotated[str | None, typer.Option(help="Only since then: 30m, 2h, 1d, or 2025-11-28T09:00:00Z.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the newest so many.")]


@app.callback()
def _dead_letters() -> None:
    """List what was turned away, show one, or send it once more."""


@app.command("list")
def list_(
    reason: Reason = None,
    topic: Topic = None,
    since: Since = None,
    limit: Limit = None,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON object for each.")] = False,
) -> int:
    """List dead letters, oldest first."""
    selection = _selection(reason, topic, since, limit)
    found = selection.find(connected(), values=False)
    if json:
        for letter in found:
            say_json(json_codec.dumps(_fields(letter), ensure_ascii=False))
        return 0
    rows = [(letter.id, letter.failed_at, letter.reason, _key(letter), letter.error) for letter in found]
    if rows:
        print_table(("id", "turned away", "reason", "key", "what is wrong"), rows)
    complain(_counted(found))
    return 0


@app.command()
def show(
    identity: Id,
    json: Annotated[bool, typer.Option("--json", help="Everything as one JSON object.")] = False,
) -> int:
    """Show one: its bytes, what is wrong with them, and what to do."""
    letter = by_id(connected(), identity)
    if json:
        say_json(json_codec.dumps({**_fields(letter), **_value(letter.value)}, ensure_ascii=False))
        return 0
    say(f"{letter.id}, turned away at {letter.failed_at}")
    told = {
        "reason": letter.reason,
        "wrong": letter.error,
        "to do": letter.recommendation,
        "key": _key(letter) or "(none)",
        "bytes": "none" if letter.value is None else f"{len(letter.value):,}",
    }
    for name, text in told.items():
        say(f"  {name:<7} {text}")
    for line in _shown(letter.value).splitlines():
        say(f"  {line}")
    return 0


@app.command()
def replay(
    identity: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="TOPIC/PARTITION/OFFSET of one; or name filters.")
    ] = None,
    reason: Reason = None,
    topic: Topic = None,
    since: Since = None,
    limit: Limit = None,
    edit: Annotated[bool, typer.Option("--edit", help="Change the one of ID in $EDITOR before.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Send them; without it, only say what would be.")
    ] = False,
) -> int:
    """Send dead letters to their topics once more.

    Sent twice they are harmless: a repeat is answered and changes nothing. What would be turned away again is
    not sent.
    """
    selection = _selection(reason, topic, since, limit)
    if (identity is None) == selection.is_open:
        raise typer.BadParameter(
            "name either an ID or a filter, such as --reason or --since.", param_hint="ID"
        )
    if edit and identity is None:
        raise typer.BadParameter("--edit changes one dead letter: name its ID.")
    settings = connected()
    found = selection.find(settings) if identity is None else [by_id(settings, identity)]
    letters = each_message_once(found)
    if len(letters) < len(found):
        again = len(found) - len(letters)
        complain(f"{again:,} older dead letters are left out: the same message was turned away again.")
    judged = [
        resending(settings, letter, edited(letter.value) if edit else letter.value) for letter in letters
    ]
    _print_judged(judged)
    wanted = [each for each in judged if not each.refused]
    refused = len(judged) - len(wanted)
    if not wanted:
        complain("Nothing can be replayed." if judged else "No dead letter fits.")
        return 1
    if not (yes or (edit and _confirmed())):
        complain(f"Nothing was sent. With --yes {len(wanted):,} would be, {refused:,} not.")
        return int(refused > 0)
    return max(int(refused > 0), _send(settings, wanted))


def _send(settings: Settings, wanted: list[Resending]) -> int:
    for topic in sorted({each.letter.topic for each in wanted}):
        require_topic(settings, topic)
    sending = Sending(settings)
    for each in wanted:
        sending.send(each.letter.id, each.letter.topic, each.value, each.letter.key, each.headers())
    done = sending.finish()
    say(f"replayed {sending.sent}")
    return int(not done)


def _confirmed() -> bool:
    """Whoever has edited something at a terminal may send it there."""
    if not sys.stdin.isatty():
        return False
    sys.stderr.write("Send it? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _print_judged(judged: list[Resending]) -> None:
    rows = [
        (each.letter.id, each.state, each.letter.reason, each.refused or ("edited" if each.edited else ""))
        for each in judged
    ]
    if rows:
        print_table(("id", "state", "was", "why"), rows)


def _selection(reason: str | None, topic: str | None, since: str | None, limit: int | None) -> Selection:
    from schemas.topics import BY_NAME

    if topic is not None and topic not in BY_NAME:
        raise ConfigurationError(f"{topic} is not a topic of ours; these are: {', '.join(BY_NAME)}.")
    return Selection(known_reason(reason), topic, moment_ms(since, now_ms()), limit)


def _counted(found: list[DeadLetter]) -> str:
    reasons = sorted({letter.reason for letter in found})
    each = ", ".join(f"{sum(letter.reason == reason for letter in found):,} {reason}" for reason in reasons)
    return f"{len(found):,} dead letters: {each}." if found else "No dead letters fit."


def _fields(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "failedAt": letter.failed_at,
        "writtenAt": iso_utc(letter.at_ms),
        "reason": letter.reason,
        "error": letter.error,
        "recommendation": letter.recommendation,
        "key": None if letter.key is None else letter.key.decode(errors="backslashreplace"),
    }


def _value(value: bytes | None) -> dict[str, Any]:
    """The bytes in hexadecimal, and what they are as text or JSON where they are."""
    if value is None:
        return {"bytes": None}
    told: dict[str, Any] = {"bytes": value.hex()}
    try:
        told["text"] = value.decode()
        told["json"] = json_codec.loads(value)
    except (ValueError, RecursionError):
        pass
    return told


def _shown(value: bytes | None) -> str:
    """JSON indented, other text as it is, anything else in hexadecimal."""
    if value is None:
        return ""
    told = _value(value)
    if "json" in told:
        return json_codec.dumps(told["json"], indent=2, ensure_ascii=False)
    text: str = told.get("text", value.hex(" "))
    return text


def _key(letter: DeadLetter) -> str:
    return "" if letter.key is None else letter.key.decode(errors="backslashreplace")
