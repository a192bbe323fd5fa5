"""Records and topics that are deleted under the system, before or after they are read.

Ends of promotions are deleted only when they are decided: an end may have no answer, so that nobody could
tell whether one that is lost had an effect.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from schemas.topics import INPUTS, ORDER_CANCELLED, ORDER_PLACED, PROMOTION_START, STAGES
from streams.engine.broker.coordinators import Partition
from tests.simulation.whole.trouble import start_again
from tests.simulation.worlds import SWITCHED_OFF

if TYPE_CHECKING:
    from tests.simulation.whole.sale import Sale

SHARE = 0.23
"""Most seeds have no deletions."""

LOSING = (ORDER_PLACED, ORDER_PLACED, ORDER_CANCELLED, PROMOTION_START)
AWAY_S = 0.5, 12.0
A_MOMENT_S = (0.05, 0.5, 4.0)
"""For how long there is no worker, or no topic of that name."""

LOOK_S, LOOKS = 0.1, 100
"""How often, and how many times at most, somebody looks for something that is undecided."""


@dataclass
class Deletion:
    """Something is deleted so many seconds after the beginning."""

    at_s: float
    what: str
    topic: str
    share: float
    """How much of what could be deleted is."""
    seconds: float
    told: bool
    """Whether clients hear of a topic's end and beginning."""

    def plan(self, sale: Sale) -> None:
        """See to it that it happens."""
        sale.loop.later(self.at_s, partial(_ACTIONS[self.what], sale, self))


def draw_deletions(rng: Random, over_s: float) -> list[Deletion]:
    """What is deleted in a sale: in most nothing."""
    if rng.random() >= SHARE:
        return []
    classes = [what for what in _ACTIONS if rng.random() >= SWITCHED_OFF]
    return [
        Deletion(
            at_s=rng.uniform(0, over_s),
            what=rng.choice(classes),
            topic=rng.choice(LOSING),
            share=rng.choice([1.0, rng.random()]),
            seconds=rng.choice([rng.uniform(*AWAY_S), *A_MOMENT_S]),
            told=rng.random() < 0.5,
        )
        for _ in range(rng.choice([1, 1, 2, 4]) if classes else 0)
    ]


def _behind(sale: Sale, deletion: Deletion) -> None:
    """Retention deletes what is decided, in every log that tasks read."""
    kafka = sale.cluster.kafka
    for partition in [each for each in kafka.logs if each[0] in (*INPUTS, *STAGES)]:
        decided = sale.inputs.decided_up_to(partition)
        kafka.logs[partition].delete_below(round(deletion.share * decided))


def _ahead(sale: Sale, deletion: Deletion, looks: int = LOOKS) -> None:
    """Somebody deletes records that nobody has decided."""
    partitions = [each for each in _logs(sale, deletion.topic) if sale.inputs.undecided(each)]
    if partitions:
        partition = partitions[int(deletion.share * 1_000) % len(partitions)]
        undecided = sale.inputs.undecided(partition)
        _delete(sale, partition, undecided[int(deletion.share * (len(undecided) - 1))].entry.offset + 1)
    elif looks:
        sale.loop.later(LOOK_S, partial(_ahead, sale, deletion, looks - 1))


def _while_nobody_is_there(sale: Sale, deletion: Deletion) -> None:
    """The workers are away for longer than a topic keeps its records."""
    for worker in [each for each in sale.workers if each.alive]:
        worker.kill()
        sale.loop.later(deletion.seconds, partial(start_again, sale, worker.directory.name))
    sale.loop.later(0.9 * deletion.seconds, partial(_delete_most, sale, deletion))


def _delete_most(sale: Sale, deletion: Deletion) -> None:
    for partition in _logs(sale, deletion.topic):
        log = sale.cluster.kafka.logs[partition]
        _delete(sale, partition, log.begin + round(deletion.share * (log.end - log.begin)))


def _created_again(sale: Sale, deletion: Deletion) -> None:
    """A topic is deleted and created again; clients notice it at once or not before they must."""
    kafka, topic = sale.cluster.kafka, deletion.topic
    if not kafka.has(topic):
        return
    for partition in _logs(sale, topic):
        sale.inputs.lose(partition, kafka.logs[partition].end)
    kafka.delete(topic)
    if deletion.told:
        sale.cluster.group.rebalance()
    before = sale.cluster.group.generation
    sale.loop.later(deletion.seconds, partial(_create_again, sale, deletion, before))


def _create_again(sale: Sale, deletion: Deletion, before: int) -> None:
    """Whoever was granted tasks meanwhile does not have the topic, and hears of it in any case."""
    group = sale.cluster.group
    sale.cluster.kafka.create_again(deletion.topic)
    if deletion.told or group.generation != before:
        group.rebalance()


def _delete(sale: Sale, partition: Partition, below: int) -> None:
    sale.inputs.lose(partition, below)
    sale.cluster.kafka.logs[partition].delete_below(below)


def _logs(sale: Sale, topic: str) -> list[Partition]:
    return sorted(each for each in sale.cluster.kafka.logs if each[0] == topic)


_ACTIONS: dict[str, Callable[[Sale, Deletion], None]] = {
    "behind": _behind,
    "ahead": _ahead,
    "while nobody is there": _while_nobody_is_there,
    "created again": _created_again,
}
