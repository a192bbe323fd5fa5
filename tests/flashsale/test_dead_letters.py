"""`flashsale dead-letters`: what was turned away, and how it comes back once it is corrected."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from flashsale.dead_letters.letter import DeadLetter
from flashsale.dead_letters.resending import each_message_once
from flashsale.dead_letters.selection import Selection, moment_ms
from streams.settings import ConfigurationError, load_settings
from tests.flashsale.command import InProcess
from tests.flashsale.sold import NOT_READABLE
from tests.support.audit import order
from tests.support.system import Message, System, wait_until

NOW_MS = 1_764_320_400_000


def letters(done_out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done_out.splitlines()]


def id_of(message: Message, prefix: str) -> str:
    topic = message.headers["source-topic"].removeprefix(prefix)
    return f"{topic}/{message.headers['source-partition']}/{message.headers['source-offset']}"


def turned_away(sale: System, value: bytes, topic: str = "order-placed") -> str:
    """Send something that is turned away; returns its id."""
    sale.publish(topic, [value])
    found = wait_until(lambda: [m for m in sale.read("dead-letters") if m.value == value], "the dead letter")
    return id_of(found[-1], sale.prefix)


def wrong_order(ref: str) -> bytes:
    return json.dumps(order(ref, "FLASH-1", ("SKU-2", 0))).encode()  # test_inspect.py is about SKU-1


def editor(directory: Path, old: str, new: str) -> str:
    """An editor for EDITOR, which replaces a text."""
    script = directory / "editor.py"
    script.write_text(
        "import pathlib, sys\n"
        "file = pathlib.Path(sys.argv[1])\n"
        f"file.write_text(file.read_text().replace({old!r}, {new!r}))\n"
    )
    return f"{sys.executable} {script}"


def test_the_list_says_what_is_wrong_with_each(at_the_sale: InProcess) -> None:
    done = at_the_sale("dead-letters", "list", "--json", "--since", "1h")
    assert done.status == 0, done
    found = letters(done.out)
    assert {"INVALID", "CONFLICT"} <= {each["reason"] for each in found}
    assert all(each["id"].count("/") == 2 and each["error"] and each["recommendation"] for each in found)
    table = at_the_sale("dead-letters", "list", "--reason", "conflict")
    assert table.status == 0, table
    assert "O-1" in table.out and "INVALID" not in table.out
    assert "1 dead letters: 1 CONFLICT." in table.err


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (("--topic", "promotion-start"), 0),
        (("--since", "2999-01-01T00:00:00Z"), 0),
        (("--limit", "1"), 1),
        (("--reason", "CONFLICT", "--topic", "order-placed"), 1),
    ],
)
def test_filters_are_all_applied(at_the_sale: InProcess, filters: tuple[str, ...], count: int) -> None:
    assert len(letters(at_the_sale("dead-letters", "list", "--json", *filters).out)) == count


def test_one_is_shown_with_its_bytes_what_they_say_and_what_to_do(
    at_the_sale: InProcess, sale: System
) -> None:
    [message] = [m for m in sale.read("dead-letters") if m.value == NOT_READABLE]
    identity = id_of(message, sale.prefix)
    shown = json.loads(at_the_sale("dead-letters", "show", identity, "--json").out)
    assert bytes.fromhex(shown["bytes"]) == NOT_READABLE
    assert shown["json"] == json.loads(NOT_READABLE)
    assert (shown["key"], shown["reason"]) == ("O-BAD", "INVALID")
    text = at_the_sale("dead-letters", "show", identity).out
    assert '"quantity": 0' in text and shown["recommendation"] in text and shown["error"] in text


def test_bytes_that_are_no_text_are_shown_in_hexadecimal(at_the_sale: InProcess, sale: System) -> None:
    identity = turned_away(sale, b"\xff\x00\x9b1m")
    done = at_the_sale("dead-letters", "show", identity)
    assert "ff 00 9b 31 6d" in done.out


def test_a_dry_run_sends_nothing_and_says_what_would_be(at_the_sale: InProcess, sale: System) -> None:
    wrong = turned_away(sale, wrong_order("O-DRY"))
    before = len(sale.read("order-placed"))
    done = at_the_sale("dead-letters", "replay", wrong)
    assert (done.status, "it would be INVALID again" in done.out) == (1, True), done
    conflict = at_the_sale("dead-letters", "replay", "--reason", "CONFLICT", "--yes")
    assert (conflict.status, "it would be a CONFLICT again" in conflict.out) == (1, True), conflict
    assert len(sale.read("order-placed")) == before


def test_what_was_corrected_is_decided_and_twice_is_harmless(
    at_the_sale: InProcess, sale: System, tmp_path: Path
) -> None:
    identity = turned_away(sale, wrong_order("O-MENDED"))
    edit = {"EDITOR": editor(tmp_path, '"quantity": 0', '"quantity": 1')}

    def answers() -> list[Message]:
        return [m for m in sale.read("order-outcomes") if m.key == b"O-MENDED"]

    dry = at_the_sale("dead-letters", "replay", identity, "--edit", **edit)
    assert (dry.status, answers()) == (0, []), dry
    assert "Nothing was sent. With --yes 1 would be, 0 not." in dry.err

    letters_before = len(sale.read("dead-letters"))
    for times in (1, 2):
        done = at_the_sale("dead-letters", "replay", identity, "--edit", "--yes", **edit)
        assert (done.status, done.lines[-1]) == (0, "replayed 1"), done
        wait_until(lambda times=times: len(answers()) == times, "the answer")  # type: ignore[misc]
    first, second = answers()
    assert first.value == second.value
    assert first.json["consumeResults"][0]["reason"] == "ENDED"
    assert len(sale.read("dead-letters")) == letters_before

    sent = [m for m in sale.read("order-placed") if m.headers.get("replayed-from") == identity]
    assert [(m.headers["replayed-reason"], m.headers["replayed-edited"]) for m in sent] == [
        ("INVALID", "true")
    ] * 2


def test_what_would_be_read_today_is_sent_with_its_own_bytes_and_key(
    at_the_sale: InProcess, sale: System
) -> None:
    end = json.dumps({"promotion": {"id": "FLASH-TYPO", "reason": "wrong id"}}).encode()
    identity = turned_away(sale, end, "promotion-end")
    dry = at_the_sale("dead-letters", "replay", "--reason", "NO_PROMOTION")
    assert (dry.status, dry.lines[-1].split()[:2]) == (0, [identity, "ok"]), dry
    done = at_the_sale("dead-letters", "replay", "--reason", "NO_PROMOTION", "--yes")
    assert (done.status, done.lines[-1]) == (0, "replayed 1"), done
    [sent] = [m for m in sale.read("promotion-end") if "replayed-from" in m.headers]
    assert (sent.value, sent.key, "replayed-edited" in sent.headers) == (end, None, False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("replay",), ("either an ID or a filter",)),
        (("replay", "order-placed/0/1", "--reason", "INVALID"), ("either an ID or a filter",)),
        (("replay", "--reason", "INVALID", "--edit"), ("--edit changes one",)),
        (("list", "--reason", "BORED"), ("BORED is not a reason", "INVALID")),
        (("list", "--since", "yesterday"), ("yesterday is no time",)),
        (("list", "--topic", "orders"), ("orders is not a topic of ours",)),
    ],
)
def test_bad_usage_is_one_sentence(
    nowhere: InProcess, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    assert nowhere("dead-letters", *arguments).refused(*words)


@pytest.mark.parametrize("identity", ["order-placed/0/99999", "order-placed"])
def test_an_unknown_id_is_one_sentence(at_the_sale: InProcess, identity: str) -> None:
    assert at_the_sale("dead-letters", "show", identity).refused(identity)


def test_an_editor_that_fails_changes_nothing(at_the_sale: InProcess, sale: System) -> None:
    identity = turned_away(sale, wrong_order("O-EDITOR"))
    done = at_the_sale("dead-letters", "replay", identity, "--edit", "--yes", EDITOR="false")
    assert done.refused("The editor false ended with 1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, 0),
        ("90s", NOW_MS - 90_000),
        ("2h", NOW_MS - 7_200_000),
        ("2025-11-28T09:00:00Z", NOW_MS),
        ("2025-11-28T10:00:00+01:00", NOW_MS),
        ("2025-11-28 09:00", NOW_MS),
    ],
)
def test_since_is_a_while_ago_or_a_moment(text: str | None, expected: int) -> None:
    assert moment_ms(text, NOW_MS) == expected


@pytest.mark.parametrize("text", ["", "5", "2w", "-1h", "9999999999999999h", "0000-00-00"])
def test_anything_else_is_no_time(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is no time"):
        moment_ms(text, NOW_MS)


def letter(offset: int, value: bytes | None, at_ms: int = NOW_MS, topic: str = "order-placed") -> DeadLetter:
    return DeadLetter(topic, 0, offset, "INVALID", "", "", "", at_ms, (0, 0), None, value)


def test_messages_without_their_bytes_are_not_taken_for_the_same() -> None:
    found = [letter(1, None), letter(2, None), letter(1, None)]
    assert each_message_once(found) == found[1:]


def test_of_a_message_that_was_replayed_in_vain_only_the_newest_is_sent() -> None:
    found = [letter(1, b"a"), letter(2, b"b"), letter(1, b"a", topic="order-cancelled"), letter(7, b"a")]
    assert [each.id for each in each_message_once(found)] == [
        "order-placed/0/2",
        "order-cancelled/0/1",
        "order-placed/0/7",
    ]


def test_those_of_one_moment_stay_in_the_order_of_their_log(monkeypatch: pytest.MonkeyPatch) -> None:
    given = [letter(8, b"later"), letter(7, b"earlier"), letter(9, b"before", NOW_MS - 1)]
    monkeypatch.setattr("flashsale.dead_letters.selection.read_dead_letters", lambda *_: iter(given))
    found = Selection(reason="INVALID").find(load_settings({"KAFKA_BOOTSTRAP_SERVERS": "nowhere:1"}))
    assert [each.offset for each in found] == [9, 7, 8]
