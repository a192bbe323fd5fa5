"""`flashsale check`: one line for everything that a sale needs, with the remedy; nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flashsale.admin.cluster import TopicOnBroker
from flashsale.admin.rules import NEEDED, lacking_rights
from schemas.topics import BY_NAME, TOPICS
from streams.settings import load_settings
from tests.flashsale.command import Command, Done, InProcess
from tests.support.fluent import FluentSimulator


@pytest.fixture(scope="module")
def fluent() -> Iterator[FluentSimulator]:
    with FluentSimulator({"SKU-001": {"LOC-1": 70, "LOC-2": 30}}) as simulator:
        yield simulator


def lines(done: Done) -> dict[str, tuple[str, str]]:
    """Subject to (state, rest of the line)."""
    return {line[8:24].strip(): (line[:8].strip(), line[25:]) for line in done.lines}


def test_all_is_well(with_topics: Command, fluent: FluentSimulator) -> None:
    before = fluent.truth()
    done = with_topics("check", "--sku", "SKU-001", **fluent.environment())
    assert (done.status, done.err) == (0, "")
    found = lines(done)
    assert {state for state, _ in found.values()} == {"ok"}
    assert list(found)[:6] == [
        "configuration",
        "broker",
        "rights",
        "topics",
        "Fluent login",
        "Fluent catalogue",
    ]
    partitions = load_settings(with_topics.environment).config.partitions
    assert f"config/reservation-config.json; {partitions} partitions" in found["configuration"][1]
    assert len(done.lines) == 9
    assert "2 positions, 100 units available" in done.lines[-1]
    assert fluent.truth() == before


def test_missing_topics_and_an_unknown_sku_are_named_with_their_remedies(
    called: InProcess, fluent: FluentSimulator
) -> None:
    done = called("check", "--sku", "SKU-404", **fluent.environment())
    assert (done.status, done.err) == (1, "")
    failed = [line for line in done.lines if line.startswith("failed")]
    assert len(failed) == len(TOPICS) + 1
    assert all(
        "is missing" in line and "-> create it with `flashsale topics`" in line for line in failed[:-1]
    )
    assert "Fluent SKU SKU-404" in failed[-1]


def test_a_login_that_fluent_refuses_fails_with_the_variables_to_look_at(
    called_with_topics: InProcess, fluent: FluentSimulator
) -> None:
    done = called_with_topics("check", **(fluent.environment() | {"FLUENT_CLIENT_SECRET": "s3cret"}))
    assert done.status == 1
    [line] = [line for line in done.lines if line.startswith("failed")]
    assert "Fluent login" in line
    assert "FLUENT_CLIENT_SECRET" in line
    assert "s3cret" not in line


def test_a_fluent_that_is_not_configured_is_status_2(called_with_topics: InProcess) -> None:
    done = called_with_topics("check")
    assert done.status == 2
    assert lines(done)["Fluent login"][0] == "failed"
    assert done.err.startswith("FLUENT_BASE_URL, FLUENT_ACCOUNT")


@pytest.mark.parametrize("name", BY_NAME)
def test_a_right_that_is_denied_is_named(name: str) -> None:
    everything = frozenset(operation for needed in NEEDED.values() for operation in needed)
    topic = BY_NAME[name]
    for denied in NEEDED[topic.role]:
        seen = TopicOnBroker(4, 1, operations=everything - {denied})
        [finding] = lacking_rights(topic, name, seen)
        assert finding.problem == f"{denied.name.title()} is not allowed on this topic"
    assert lacking_rights(topic, name, TopicOnBroker(4, 1, operations=everything)) == []
    assert lacking_rights(topic, name, TopicOnBroker(4, 1, operations=None)) == []
