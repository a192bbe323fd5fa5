"""The assignor hands out whole tasks, evenly, and leaves them where they are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from faust.assignor.client_assignment import ClientAssignment, ClientMetadata
from yarl import URL

from streams.engine.host.assignor import TaskAssignor

TASKS = 4
OURS = {"order-commands": TASKS, "sku-commands": TASKS, "fluent-requests": TASKS}
TOPICS = [*OURS, "changelog", "order-placed", "promotion-start"]

Given = dict[str, dict[str, list[int]]]


class Cluster:
    """What the leader's metadata say; a topic that is missing there has no partitions."""

    def __init__(self, **counts: int) -> None:
        self.counts = {topic.replace("_", "-"): count for topic, count in counts.items()}

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        count = self.counts.get(topic)
        return None if count is None else set(range(count))


def assigned(cluster: Cluster, before: Given) -> Given:
    """What each member gets, by topic, when they had `before`."""
    tables = SimpleNamespace(changelog_topics={"changelog"}, data={})
    app: Any = SimpleNamespace(
        tables=tables,
        tracer=None,
        hooks=SimpleNamespace(partitions={**OURS, "changelog": TASKS}),
        conf=SimpleNamespace(canonical_url=URL("http://here")),
    )
    members = {member: _metadata(actives) for member, actives in before.items()}
    found = TaskAssignor(app)._perform_assignment(cast(Any, cluster), members)
    return {member: {t: sorted(ps) for t, ps in each.assignment if ps} for member, each in found.items()}


def _metadata(actives: dict[str, list[int]]) -> Any:
    client = ClientMetadata(
        assignment=ClientAssignment(actives=actives, standbys={}), url="http://x", changelog_distribution={}
    )
    return ConsumerProtocolMemberMetadata(4, TOPICS, client.dumps())


def tasks_of(share: dict[str, list[int]]) -> set[int]:
    return set(share["order-commands"])


def test_a_task_is_a_partition_of_each_topic_of_ours_and_every_input_partition_mod_n() -> None:
    given = assigned(Cluster(order_placed=7, promotion_start=1), {"a": {}, "b": {}})
    for share in given.values():
        tasks = tasks_of(share)
        assert all(set(share[topic]) == tasks for topic in OURS)
        assert set(share.get("order-placed", [])) == {p for p in range(7) if p % TASKS in tasks}
    assert sorted(p for share in given.values() for p in share.get("promotion-start", [])) == [0]


def test_tasks_are_shared_evenly_and_stay_where_they_are() -> None:
    alone = assigned(Cluster(order_placed=4, promotion_start=4), {"a": {}})
    assert tasks_of(alone["a"]) == {0, 1, 2, 3}
    pair = assigned(Cluster(order_placed=4, promotion_start=4), {**alone, "b": {}})
    assert len(tasks_of(pair["a"])) == len(tasks_of(pair["b"])) == 2
    again = assigned(Cluster(order_placed=4, promotion_start=4), pair)
    assert again == pair
    left = assigned(Cluster(order_placed=4, promotion_start=4), {"b": pair["b"]})
    assert tasks_of(left["b"]) == {0, 1, 2, 3}


def test_more_workers_than_tasks_leave_some_idle() -> None:
    given = assigned(Cluster(order_placed=4, promotion_start=4), {name: {} for name in "abcdef"})
    assert sorted(len(share.get("order-commands", [])) for share in given.values()) == [0, 0, 1, 1, 1, 1]


def test_the_changelog_is_assigned_to_nobody_and_so_not_fetched_beside_what_the_engine_reads() -> None:
    alone = assigned(Cluster(order_placed=4, promotion_start=4, changelog=TASKS), {"a": {}})
    former = {"a": {**alone["a"], "changelog": [0, 1, 2, 3]}, "b": {}}
    for share in assigned(Cluster(order_placed=4, promotion_start=4, changelog=TASKS), former).values():
        assert tasks_of(share) and "changelog" not in share


def test_our_own_topics_are_assigned_although_the_leader_has_no_metadata_yet() -> None:
    given = assigned(Cluster(), {"a": {}})
    assert tasks_of(given["a"]) == {0, 1, 2, 3} and "order-placed" not in given["a"]


def test_partitions_that_an_input_topic_gains_go_to_the_tasks_that_they_belong_to() -> None:
    before = assigned(Cluster(order_placed=3, promotion_start=1), {"a": {}, "b": {}})
    after = assigned(Cluster(order_placed=7, promotion_start=1), before)
    for member, share in after.items():
        assert tasks_of(share) == tasks_of(before[member]), "no task has moved"
        assert set(share["order-placed"]) == {p for p in range(7) if p % TASKS in tasks_of(share)}
