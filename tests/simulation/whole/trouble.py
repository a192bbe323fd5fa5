"""What goes wrong with workers, brokers and networks in a sale of the whole system."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from rehearsal.fluent.switches import Sale as Elsewhere
from schemas.topics import INPUTS, TASK_CHANGELOG
from tests.simulation.whole.group import SESSION_S
from tests.simulation.worlds import SWITCHED_OFF, Kind

if TYPE_CHECKING:
    from tests.simulation.whole.sale import Sale
    from tests.simulation.whole.worker import Worker

BACK_AFTER_S = 0.5, 4.0
MAX_SKEW_MS = 600_000
AWAY_S = 1.0, 15.0
REFUSING_S = 5.0, 75.0
"""For longer than the shortest settle delay, too."""

POISON = (b"", b"{", b"null", b'{"order":{}}', b'{"promotion":{"id":7}}', b"\xff\xfe", b"[" * 5_000)
LASTS_S: tuple[Callable[[Random], float], ...] = (
    lambda rng: rng.uniform(0.1, SESSION_S),
    lambda rng: rng.uniform(SESSION_S, 3 * SESSION_S),
)
"""Less than a session, or more: then others have the tasks meanwhile."""

NEVER = 0.0, 0.0
QUICK_MS = 100
"""A world whose Fluent always answers sooner has quick brokers, too."""


@dataclass
class Event:
    """Something that happens to a worker, or to all, so many seconds after the beginning."""

    at_s: float
    what: str
    which: int
    seconds: float


@dataclass
class Trouble:
    """All that goes wrong, drawn before the sale begins."""

    workers: int
    events: list[Event]
    over_s: float
    """From then on nothing goes wrong."""
    network_loss: float
    network_slow: float
    refusals: float
    broker_away: tuple[float, float]
    refusing: tuple[float, float]
    skews_ms: list[int]

    def plan(self, sale: Sale) -> None:
        """See to it that it happens."""
        for event in self.events:
            action = partial(_ACTIONS[event.what], sale, event)
            sale.loop.later(event.at_s, action)


def draw_trouble(rng: Random, kind: Kind) -> Trouble:
    """Each class of it is switched off in some seeds."""
    over_s = kind.lasts_ms / 1_000 + rng.uniform(0, 30)
    classes = [what for what in _ACTIONS if rng.random() >= SWITCHED_OFF and kind.ownerless]
    count = rng.choice([2, 6, 15, 30]) if classes else 0
    events = [
        Event(rng.uniform(0, over_s), rng.choice(classes), rng.randrange(10), rng.choice(LASTS_S)(rng))
        for _ in range(count)
    ]
    away_s = 1_000.0 + rng.uniform(0, over_s)
    away = (away_s, away_s + rng.uniform(*AWAY_S)) if rng.random() < 0.3 and kind.loss_rate else NEVER
    skewed = rng.random() < 0.3
    refusing_s = 1_000.0 + rng.uniform(0, over_s)
    refusing = (refusing_s, refusing_s + rng.uniform(*REFUSING_S))
    return Trouble(
        workers=rng.randint(1, 3) if kind.ownerless else 1,
        events=events,
        over_s=over_s,
        network_loss=rng.choice([0.0, 0.01, 0.1]) if kind.loss_rate else 0.0,
        network_slow=rng.choice([0.0, 0.02, 0.2]) if kind.slow_ms > QUICK_MS else 0.0,
        refusals=rng.choice([0.0, 0.01, 0.1]) if kind.crash_rate else 0.0,
        broker_away=away,
        refusing=refusing if rng.random() < 0.4 and kind.crash_rate else NEVER,
        skews_ms=[rng.randint(-MAX_SKEW_MS, MAX_SKEW_MS) if skewed else 0 for _ in range(4)],
    )


def _one(sale: Sale, event: Event) -> Worker | None:
    alive = [worker for worker in sale.workers if worker.alive and not worker.process.frozen]
    return alive[event.which % len(alive)] if alive else None


def _killed(sale: Sale, event: Event) -> None:
    worker = _one(sale, event)
    if worker is not None:
        worker.kill()
        _back(sale, worker.directory.name, event)


def _on_a_new_machine(sale: Sale, event: Event) -> None:
    worker = _one(sale, event)
    if worker is not None:
        worker.kill()
        sale.cluster.disks.lose(worker.directory)
        _back(sale, worker.directory.name, event)


def _frozen(sale: Sale, event: Event) -> None:
    worker = _one(sale, event)
    if worker is not None:
        worker.freeze()
        sale.loop.later(event.seconds, partial(_woken, worker))


def _woken(worker: Worker) -> None:
    if worker.process.frozen:
        worker.thaw()


def _stopped(sale: Sale, event: Event) -> None:
    worker = _one(sale, event)
    if worker is not None:
        worker.stop()
        sale.loop.later(event.seconds, worker.kill)
        sale.loop.later(event.seconds + 0.5, partial(start_again, sale, worker.directory.name))


def _joined(sale: Sale, event: Event) -> None:
    if sum(worker.alive for worker in sale.workers) < 3:
        start_again(sale, f"more{event.which}")


def _all_killed(sale: Sale, event: Event) -> None:
    for worker in [each for each in sale.workers if each.alive]:
        worker.kill()
        _back(sale, worker.directory.name, event)


def _compacted(sale: Sale, _: Event) -> None:
    for (topic, _number), log in sale.cluster.kafka.logs.items():
        if topic == TASK_CHANGELOG:
            log.compact()


def _sold_elsewhere(sale: Sale, event: Event) -> None:
    """Another channel takes what is on sale of a SKU, as far as it is."""
    world = sale.cluster.fluent.world
    sku = sorted(sale.stock)[event.which % len(sale.stock)]
    units = min(event.which, world.auditor.figures[sku].available)
    if units > 0:
        world.channels.sell(Elsewhere(sku=sku, quantity=units))
        sale.sold_elsewhere[sku] += units


def _poisoned(sale: Sale, event: Event) -> None:
    """Somebody sends what cannot be read."""
    topic = INPUTS[event.which % len(INPUTS)]
    number = event.which % sale.cluster.kafka.topics[topic]
    sale.send((topic, number), b"key", POISON[event.which % len(POISON)])


def _back(sale: Sale, machine: str, event: Event) -> None:
    low, high = BACK_AFTER_S
    sale.loop.later(low + event.seconds / (3 * SESSION_S) * (high - low), partial(start_again, sale, machine))


def start_again(sale: Sale, machine: str) -> None:
    """On a machine there is one worker at a time; a second one would not get RocksDB's lock."""
    if not any(worker.alive and worker.directory.name == machine for worker in sale.workers):
        sale.start(machine)


_ACTIONS: dict[str, Callable[[Sale, Event], None]] = {
    "killed": _killed,
    "on a new machine": _on_a_new_machine,
    "frozen": _frozen,
    "stopped": _stopped,
    "joined": _joined,
    "all killed": _all_killed,
    "compacted": _compacted,
    "sold elsewhere": _sold_elsewhere,
    "poisoned": _poisoned,
}
