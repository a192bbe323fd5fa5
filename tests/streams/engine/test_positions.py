"""What a position and the group's offset say about the topic that they belong to, former forms included."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from confluent_kafka import KafkaException

from streams.engine.ownership import Ownership, ownership_in
from streams.engine.ports import POSITIONS, Position, positions_in
from streams.engine.takeover import Takeover, Unrecoverable, _check_topic
from streams.ledger.rows import MemoryStore, Rows


def test_a_position_is_kept_with_its_topic() -> None:
    store = MemoryStore()
    rows = Rows(store)
    rows.put(POSITIONS, b"orders/0", Position(5, "id"))
    store.write(rows.flush())
    assert positions_in(store) == {"orders/0": Position(5, "id")}


def test_a_row_of_a_former_version_is_read_as_a_position_in_an_unknown_topic() -> None:
    store = MemoryStore()
    store.write({POSITIONS.prefix + b"orders/0": msgspec.msgpack.encode([5])})
    assert positions_in(store) == {"orders/0": Position(5)}


def test_an_offset_says_beside_its_owner_which_topic_it_is_of() -> None:
    owner = Ownership(("a", "b"), 7)
    beside = owner.beside(["known", "unknown"], {"known": "id"})
    assert ownership_in(beside["known"]) == Ownership(("a", "b"), 7, topic_id="id")
    assert ownership_in(beside["unknown"]) == owner
    assert ownership_in('{"ids":["a"],"generation":7,"letGo":true}') == Ownership(("a",), 7, let_go=True)


def takeover(topic_ids: Callable[..., dict[str, str]]) -> Takeover:
    reader: Any = SimpleNamespace(topic_ids=topic_ids)
    return Takeover(SimpleNamespace(), reader, ThreadPoolExecutor(1))  # type: ignore[arg-type]


def task(changelog_id: str) -> Any:
    """One whose rows were read from a changelog with this id."""
    return SimpleNamespace(database=SimpleNamespace(changelog_id=changelog_id))


async def test_a_changelog_that_was_created_again_is_an_error_that_says_what_to_do() -> None:
    """A worker that wrote on would leave one with nothing but its newest rows: whoever took over from that
    would sell what is sold once more."""
    checks = takeover(lambda topics, within_s: dict.fromkeys(topics, "second"))
    await checks.check_changelog("changelog", [task("second"), task("")])
    with pytest.raises(
        Unrecoverable, match=r"changelog was deleted and created again.*The changelog is lost"
    ):
        await checks.check_changelog("changelog", [task("second"), task("first")])


async def test_a_changelog_that_is_away_is_waited_for() -> None:
    def away(topics: Iterable[str], within_s: float) -> dict[str, str]:
        raise KafkaException("there is none")

    await takeover(away).check_changelog("changelog", [task("first")])


@pytest.mark.parametrize(("known", "now"), [("", "id"), ("id", ""), ("id", "id"), ("", "")])
def test_an_id_that_is_not_known_is_no_other_topic(known: str, now: str) -> None:
    _check_topic("orders/0", Position(5, known), now)


def test_another_id_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(Unrecoverable, match=r"deleted and created again.*docs/operations.md"):
        _check_topic("orders/0", Position(5, "id"), "other")
