"""Questions to coordinators: what is asked again and of whom, what is an error, and when it is given up."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.client import CoordinationType
from aiokafka.errors import KafkaConnectionError, KafkaError, TopicAuthorizationFailedError

from streams.engine.broker import coordinators as module
from streams.engine.broker.coordinators import Coordinators, GroupOffset
from streams.engine.broker.errors import Fenced, Refused, Unanswered
from streams.engine.ownership import Membership, Ownership
from tests.streams.engine.driving import Clock

MEMBER, THROWN_OUT = Membership(4, "we"), Membership(-1, "")
OURS = Ownership(("a", "b"), 4)
PLACE = ("orders", 3)
LOADING, MOVED, UNSTABLE, ILLEGAL_GENERATION, FENCED, NOT_ALLOWED = 14, 16, 88, 22, 90, 30


def said(code: int) -> Any:
    """An answer that is nothing but a code."""
    return SimpleNamespace(error_code=code)


def offsets(*rows: tuple[int, int, str, int], code: int = 0) -> Any:
    """An answer with partitions of "orders": number, offset, metadata and code."""
    partitions: list[Any] = [
        (number, offset, -1, metadata, each, {}) for number, offset, metadata, each in rows
    ]
    return SimpleNamespace(error_code=code, topics=[("orders", partitions, {})])


class Client:
    """In place of AIOKafkaClient: gives these answers in turn, and finds another coordinator each time."""

    def __init__(self, *answers: Any) -> None:
        self.cluster = self
        self.answers = list(answers)
        self.asked: list[int] = []
        self.requests: list[Any] = []
        self.sought: list[tuple[int, str]] = []
        self.known: set[int] = set()
        self.learned: list[str] = []

    def brokers(self) -> set[int]:
        return self.known

    def broker_metadata(self, node: int) -> int | None:
        return node if node in self.known else None

    async def bootstrap(self) -> None:
        self.learned.append("bootstrap")
        self.known = {1}

    async def close(self) -> None:
        self.learned.append("closed")

    async def force_metadata_update(self) -> None:
        self.learned.append("metadata")
        self.known |= {1, 2, 3, 4, 5}

    async def coordinator_lookup(self, kind: int, key: str) -> int:
        self.sought.append((kind, key))
        return len(self.sought)

    async def send(self, node: int, request: Any, group: Any = None) -> Any:
        self.asked.append(node)
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return await answer if asyncio.iscoroutine(answer) else answer


def asking(client: Client) -> Coordinators:
    return Coordinators(client, "flashsale")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    made.rule(monkeypatch, module)
    return made


async def test_what_passes_is_asked_again_of_the_same_coordinator(clock: Clock) -> None:
    client = Client(said(LOADING), said(LOADING), said(0), said(0))
    coordinators = asking(client)
    await coordinators.check(MEMBER, 10.0)
    await coordinators.check(MEMBER, 10.0)
    assert client.asked == [1, 1, 1, 1] and clock.pauses == [0.02, 0.04]
    assert client.sought == [(CoordinationType.GROUP, "flashsale")]
    assert client.learned == ["bootstrap"]


@pytest.mark.parametrize(
    "answer", [said(MOVED), KafkaConnectionError("broken"), OSError("reset"), TimeoutError()]
)
async def test_a_coordinator_that_is_elsewhere_is_looked_for_again(clock: Clock, answer: Any) -> None:
    client = Client(answer, said(0))
    await asking(client).fence("theirs", 10.0)
    assert client.asked == [1, 2]
    assert client.sought == [(CoordinationType.TRANSACTION, "theirs")] * 2
    assert client.learned == ["bootstrap", "metadata"], "the second one was not known"


async def test_pauses_grow_to_half_a_second_until_it_is_given_up(clock: Clock) -> None:
    client = Client(*[said(LOADING)] * 100)
    with pytest.raises(Unanswered, match=r"within 3 s, last: .*\(14\)"):
        await asking(client).check(MEMBER, 3.0)
    assert clock.pauses[:6] == [0.02, 0.04, 0.08, 0.16, 0.32, 0.5] and set(clock.pauses[5:]) == {0.5}
    assert 2.5 < clock.now_s <= 3.0


async def test_one_that_is_silent_is_given_up_in_time() -> None:
    client = Client(*[asyncio.sleep(60) for _ in range(3)])
    with pytest.raises(Unanswered):
        await asking(client).check(MEMBER, 0.05)
    assert client.asked == [1]
    for each in client.answers:
        each.close()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (said(ILLEGAL_GENERATION), Refused),
        (said(FENCED), Fenced),
        (said(NOT_ALLOWED), KafkaError),
        (TopicAuthorizationFailedError(), TopicAuthorizationFailedError),
    ],
)
async def test_what_does_not_pass_is_an_error_at_once(answer: Any, error: type[Exception]) -> None:
    client = Client(answer)
    with pytest.raises(error):
        await asking(client).fence("theirs", 10.0)
    assert client.asked == [1]


async def test_offsets_are_told_with_their_owner_and_none_as_none() -> None:
    client = Client(offsets((0, 0, OURS.encode(), 0), (3, -1, "", 0), (4, 7, "of somebody else", 0)))
    found = await asking(client).offsets([("orders", n) for n in (0, 3, 4)], stable=False, within_s=1.0)
    assert found == {
        ("orders", 0): GroupOffset(0, OURS),
        ("orders", 3): GroupOffset(None, None),
        ("orders", 4): GroupOffset(7, None),
    }
    assert await asking(Client()).offsets([], stable=True, within_s=1.0) == {}


async def test_offsets_of_which_one_is_about_to_change_are_asked_again_and_one_that_fails_fails_all(
    clock: Clock,
) -> None:
    client = Client(offsets((0, 1, "", 0), (3, 5, "", UNSTABLE)), offsets((0, 1, "", 0), (3, 6, "", 0)))
    found = await asking(client).offsets([PLACE], stable=True, within_s=1.0)
    assert found[PLACE].offset == 6
    for answer in (offsets((0, 1, "", 0), (3, 5, "", NOT_ALLOWED)), offsets((3, 5, "", 0), code=NOT_ALLOWED)):
        with pytest.raises(KafkaError):
            await asking(Client(answer)).offsets([PLACE], stable=True, within_s=1.0)


@pytest.mark.parametrize(
    ("kept", "now", "offset"), [("id", "id", 7), ("", "id", 7), ("id", "", 7), ("former", "id", None)]
)
def test_an_offset_in_a_topic_that_was_created_again_is_no_position(
    kept: str, now: str, offset: int | None
) -> None:
    found = GroupOffset(7, Ownership(("a",), 4, topic_id=kept))
    assert found.offset_in(now) == offset and found.is_of_another(now) is (offset is None)
    assert GroupOffset(7, None).offset_in(now) == 7


async def test_it_closes_its_client() -> None:
    client = Client()
    await asking(client).close()
    assert client.learned == ["closed"]


async def test_a_member_that_was_thrown_out_asks_nothing() -> None:
    """Its generation is -1, with which the broker would take a commit unchecked."""
    client = Client()
    with pytest.raises(Refused):
        await asking(client).check(THROWN_OUT, 1.0)
    with pytest.raises(Refused):
        await asking(client).commit({PLACE: 5}, OURS, THROWN_OUT, 1.0)
    assert client.asked == []


async def test_a_commit_says_who_we_are_and_which_topic_it_is_about() -> None:
    answer = SimpleNamespace(topics=[("orders", [(0, 0), (3, 0)])])
    client = Client(answer)
    coordinators = asking(client)
    coordinators.topic_ids = {PLACE: "id"}
    await coordinators.commit({("orders", 0): 5, PLACE: 6}, OURS, MEMBER, 1.0)
    [request] = client.requests
    told = vars(request)
    beside = OURS.beside([("orders", 0), PLACE], {PLACE: "id"})
    assert [*told.values()][:5] == [
        "flashsale",
        4,
        "we",
        -1,
        [("orders", [(0, 5, beside["orders", 0]), (3, 6, beside[PLACE])])],
    ]
    refused = SimpleNamespace(topics=[("orders", [(0, 0), (3, ILLEGAL_GENERATION)])])
    with pytest.raises(Refused):
        await asking(Client(refused)).commit({("orders", 0): 5, PLACE: 6}, OURS, MEMBER, 1.0)
