"""`flashsale publish`: all lines or none, keyed by their subject."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest
from confluent_kafka import Message

from flashsale.cli.publish import EXAMPLES
from schemas.parsing import parse
from schemas.topics import MAX_MESSAGE_BYTES
from streams.reader import read_to_end
from streams.settings import Settings, load_settings
from tests.flashsale.command import FLASHSALE, ROOT, Command, InProcess, finished


def order(ref: str, promotion: str = "FLASH-1") -> str:
    return json.dumps(
        {"order": {"ref": ref, "promotionId": promotion, "items": [{"sku": "SKU-1", "quantity": 1}]}}
    )


def records(settings: Settings, topic: str) -> list[Message]:
    return list(read_to_end(settings, topic))


@pytest.fixture
def shared(with_topics: Command) -> Settings:
    return load_settings(with_topics.environment)


def test_lines_of_a_file_are_sent_in_order_and_keyed_by_their_order(
    with_topics: Command, shared: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "orders.jsonl"
    lines = [order("ORD-1"), order("ORD-2"), order("ORD-1", "FLASH-2")]
    file.write_text("\n".join([lines[0], "", *lines[1:]]) + "\n")
    done = with_topics("publish", "order-placed", str(file))
    assert (done.status, done.out, done.err) == (0, "published 3\n", "")
    sent = [(message.key(), message.value()) for message in records(shared, "order-placed")]
    assert [value for key, value in sent if key == b"ORD-1"] == [lines[0].encode(), lines[2].encode()]
    assert (b"ORD-2", lines[1].encode()) in sent


def test_standard_input_is_taken_and_a_promotion_is_keyed_by_its_id(
    with_topics: Command, shared: Settings
) -> None:
    start = {"promotion": {"id": "FLASH-9", "skus": [{"sku": "SKU-1", "quantity": 5}]}}
    done = with_topics("publish", "promotion-start", "-", given=json.dumps(start))
    assert (done.status, done.out, done.err) == (0, "published 1\n", "")
    [sent] = records(shared, "promotion-start")
    assert sent.key() == b"FLASH-9"


def test_one_bad_line_keeps_all_of_them_back(called_with_topics: InProcess, shared: Settings) -> None:
    cancel = json.dumps({"order": {"ref": "ORD-1", "promotionId": "FLASH-1"}})
    done = called_with_topics(
        "publish", "order-cancelled", "-", given=f'{cancel}\nnot JSON\n\n{{"order":{{}}}}\n'
    )
    assert (done.status, done.out) == (1, "")
    first, second, what_to_do = done.err.splitlines()
    assert first.startswith("line 2: The message is not valid JSON")
    assert second == "line 4: order.ref is missing."
    assert "Nothing was sent" in what_to_do
    assert records(shared, "order-cancelled") == []


def test_without_validation_lines_are_sent_as_they_are(
    called_with_topics: InProcess, shared: Settings
) -> None:
    done = called_with_topics("publish", "promotion-end", "-", "--no-validate", given="not JSON\n")
    assert (done.status, done.out) == (0, "published 1\n")
    [sent] = records(shared, "promotion-end")
    assert (sent.key(), sent.value()) == (None, b"not JSON")


def test_a_line_that_the_topic_does_not_take_is_named(called_with_topics: InProcess) -> None:
    ends = [
        json.dumps({"promotion": {"id": ref, "padding": " " * size}})
        for ref, size in (("E1", 1), ("E2", 2_000_000))
    ]
    done = called_with_topics("publish", "promotion-end", "-", given="\n".join(ends))
    assert (done.status, done.out) == (1, "published 1\n")
    assert done.err.startswith("line 2 was not sent: ")


def test_a_line_that_no_topic_takes_is_named_and_keeps_no_other_one_back(
    called_with_topics: InProcess, shared: Settings
) -> None:
    large = order("LARGE").replace("{", '{"note": "' + "x" * MAX_MESSAGE_BYTES + '", ', 1)
    lines = "\n".join((order("FIRST-OF-3"), large, order("LAST-OF-3")))
    done = called_with_topics("publish", "order-placed", "-", given=lines)
    assert (done.status, done.lines) == (1, ["published 2"])
    assert "line 2 was not sent" in done.err and "too large" in done.err
    keys = [message.key() for message in records(shared, "order-placed")]
    assert {b"FIRST-OF-3", b"LAST-OF-3"} <= set(keys)


def test_foreign_shapes_are_validated_through_the_input_mapping(
    called_with_topics: InProcess, shared: Settings, tmp_path: Path
) -> None:
    config = tmp_path / "config.json"
    mapping = {
        "order": {"ref": "number", "promotionId": "campaign", "items": "lines[].{sku: a, quantity: n}"}
    }
    config.write_text(json.dumps({"inputMapping": {"order-placed": mapping}}))
    foreign = json.dumps({"number": "SHOP-7", "campaign": "FLASH-1", "lines": [{"a": "SKU-1", "n": 2}]})
    done = called_with_topics("publish", "order-placed", "-", given=foreign, RESERVATION_CONFIG=str(config))
    assert (done.status, done.out) == (0, "published 1\n")
    assert b"SHOP-7" in {message.key() for message in records(shared, "order-placed")}
    refused = called_with_topics(
        "publish", "order-placed", "-", given=order("ORD-1"), RESERVATION_CONFIG=str(config)
    )
    assert refused.status == 1


def test_a_line_at_which_a_mapping_raises_is_named(
    called_with_topics: InProcess, shared: Settings, tmp_path: Path
) -> None:
    config = tmp_path / "config.json"
    items = "lines[?n > `0`].{sku: a, quantity: n}"
    mapping = {"order": {"ref": "number", "promotionId": "campaign", "items": items}}
    config.write_text(json.dumps({"inputMapping": {"order-placed": mapping}}))
    foreign = [
        json.dumps({"number": "N", "campaign": "FLASH-1", "lines": [{"a": "SKU-1", "n": units}]})
        for units in (2, "two")
    ]
    before = len(records(shared, "order-placed"))
    done = called_with_topics(
        "publish", "order-placed", "-", given="\n".join(foreign), RESERVATION_CONFIG=str(config)
    )
    assert (done.status, done.out) == (1, "")
    named, what_to_do = done.err.splitlines()
    assert named.startswith("line 2: ") and "Nothing was sent" in what_to_do
    assert len(records(shared, "order-placed")) == before


def test_a_missing_topic_is_not_created_by_accident(called: InProcess) -> None:
    assert called("publish", "order-placed", "-", given=order("O")).refused(
        "does not exist", "flashsale topics"
    )


@pytest.mark.parametrize("topic", EXAMPLES)
def test_an_example_is_an_event_that_can_be_sent(nowhere: InProcess, topic: str) -> None:
    done = nowhere("publish", "--example", topic)
    assert (done.status, done.err, len(done.lines)) == (0, "", 1)
    parse(topic, done.out.encode())


def test_without_a_file_it_says_that_one_is_needed(nowhere: InProcess) -> None:
    assert nowhere("publish", "order-placed").refused("a file is needed", "flashsale publish --help")


def test_at_a_terminal_it_says_what_it_reads_and_ends_at_one_end_of_input(
    with_topics: Command, shared: Settings
) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*FLASHSALE, "publish", "order-placed", "-"],
        env=with_topics.environment,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    with process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("Type events, one JSON object a line; Ctrl-D sends them")
        os.write(ours, order("ORD-TTY").encode() + b"\n\x04")
        done = finished(process)
    os.close(ours)
    os.close(theirs)
    assert (done.status, done.out, done.err) == (0, "published 1\n", "")
    assert b"ORD-TTY" in {message.key() for message in records(shared, "order-placed")}


def test_a_missing_file_is_one_sentence(called_with_topics: InProcess, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.jsonl")
    assert called_with_topics("publish", "order-placed", missing).refused(missing, "No such file")
