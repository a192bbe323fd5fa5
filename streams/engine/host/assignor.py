"""Whole tasks for each member of the group: Faust's assignor with our own idea of what belongs together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, cast

from aiokafka.cluster import ClusterMetadata
from faust.assignor import PartitionAssignor
from faust.assignor.client_assignment import ClientAssignment, CopartitionedAssignment
from faust.assignor.copartitioned_assignor import CopartitionedAssignor

if TYPE_CHECKING:
    from streams.engine.host.app import EngineApp


class TaskAssignor(PartitionAssignor):
    """Task i is partition i of our own topics and every partition p of an input topic with p mod N = i.

    Faust groups topics by their number of partitions (assignor/partition_assignor.py:177), so that an input
    topic that grows, or has another number, would go its own way; and it leaves topics out that are missing
    in the leader's metadata, which right after a broker restart are all, and everybody is assigned nothing,
    for good. Here our own topics have the counts that are declared. A partition that an input topic gains
    comes in with the rebalance that the leader asks for when it sees it.

    The changelog goes to nobody: the engine reads it with consumers of its own, and what is assigned is
    fetched, three megabytes of each partition that would lie in memory until the next rebalance.
    """

    def _perform_assignment(
        self, cluster: ClusterMetadata, member_metadata: Mapping[str, Any]
    ) -> MutableMapping[str, Any]:
        clients = {member: self._get_client_metadata(found) for member, found in member_metadata.items()}
        self._update_member_urls(clients)
        counts = self._counts(cluster, member_metadata)
        former = {member: client.assignment for member, client in clients.items()}
        shares = self._shares(former)
        assignments = {
            member: ClientAssignment(
                actives=_partitions(counts, set(found.subscription), shares[member], self._tasks),
                standbys={},
            )
            for member, found in member_metadata.items()
        }
        return self._protocol_assignments(
            assignments,
            self._get_changelog_distribution(assignments),
            self._get_external_topic_distribution(assignments),
            dict.fromkeys(counts, 0),
        )

    @property
    def _declared(self) -> Mapping[str, int]:
        return cast("EngineApp", self.app).hooks.partitions

    @property
    def _tasks(self) -> int:
        return max(self._declared.values())

    def _counts(self, cluster: ClusterMetadata, members: Mapping[str, Any]) -> dict[str, int]:
        topics = {topic for found in members.values() for topic in found.subscription}
        topics -= self._table_manager.changelog_topics
        return {
            topic: self._declared.get(topic) or len(cluster.partitions_for_topic(topic) or ())
            for topic in sorted(topics)
        }

    def _shares(self, former: Mapping[str, ClientAssignment]) -> dict[str, set[int]]:
        """The tasks of each member: as before as far as the shares stay even."""
        before = {
            member: CopartitionedAssignment(actives=self._owned(assignment), topics={"tasks"})
            for member, assignment in sorted(former.items())
        }
        assignor = CopartitionedAssignor({"tasks"}, before, self._tasks, replicas=0)
        return {member: set(share.actives) for member, share in assignor.get_assignment().items()}

    def _owned(self, assignment: ClientAssignment) -> set[int]:
        return {
            number
            for topic, numbers in assignment.actives.items()
            if topic in self._declared
            for number in numbers
            if number < self._tasks
        }


def _partitions(
    counts: Mapping[str, int], subscribed: set[str], tasks: Iterable[int], total: int
) -> dict[str, list[int]]:
    """A member's partitions by topic. One that it does not subscribe to would be an error of its client."""
    mine = set(tasks)
    return {
        topic: [number for number in range(count) if number % total in mine]
        for topic, count in counts.items()
        if topic in subscribed
    }
