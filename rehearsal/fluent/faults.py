"""Which request suffers what. The same seed and the same requests give the same faults and latencies.

A fault is drawn at random, or asked for by a test: of a whole request (FaultPlan) or of single fields of a
mutation (Refusals). Each request draws from a generator of its own, seeded by the simulator's seed, the
request's body and how often that body came before, so that the order in which concurrent requests arrive does
not matter.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter, OrderedDict
from collections.abc import Set
from dataclasses import dataclass
from typing import Any

from rehearsal.fluent.queries import Info, Resolver, Resolvers
from rehearsal.fluent.records import Code, FluentError
from rehearsal.fluent.switches import Controls, Fault, NextRequest, Refusal, Sale

KEPT_FINGERPRINTS = 200_000
STATUSES = (500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Fate:
    """Of one request; ``status`` is that of an error fault, ``code`` that of a refused request."""

    latency_ms: float = 0
    fault: Fault | None = None
    status: int = 503
    code: str = Code.RATE_LIMIT
    sales: tuple[Sale, ...] = ()


@dataclass(slots=True)
class _Waiting:
    """A one-shot with what is left of its ``skip`` and ``count``."""

    shot: NextRequest
    skip: int
    count: int


class FaultPlan:
    def __init__(self, seed: int, controls: Controls) -> None:
        self._seed = seed
        self._controls = controls
        self._seen: OrderedDict[bytes, int] = OrderedDict()
        self._waiting: list[_Waiting] = []
        self.delivered: Counter[str] = Counter()

    def fate(self, names: Set[str], body: bytes, *, reads_only: bool) -> Fate:
        """``names``: what a one-shot's ``match`` may name; ``reads_only``: whether it can be a stale read."""
        generator = self._generator(body)
        latency_ms = self._latency_ms(generator)
        due = self._due(names, body)
        sales = tuple(shot.sell for shot in due if shot.sell is not None)
        shot = next((shot for shot in due if shot.fault is not None), None)
        if shot is not None:
            fate = Fate(latency_ms, shot.fault, shot.status, shot.code, sales)
        else:
            fault = self._drawn(generator, reads_only)
            fate = Fate(latency_ms, fault, generator.choice(STATUSES), sales=sales)
        if fate.fault is not None:
            self.delivered[fate.fault.value] += 1
        return fate

    def _generator(self, body: bytes) -> random.Random:
        fingerprint = hashlib.blake2b(body, digest_size=8, key=b"%d" % self._seed).digest()
        times = self._seen.pop(fingerprint, 0) + 1
        self._seen[fingerprint] = times
        if len(self._seen) > KEPT_FINGERPRINTS:
            self._seen.popitem(last=False)
        return random.Random(fingerprint + b"%d" % times)

    def _latency_ms(self, generator: random.Random) -> float:
        """Gamma distributed: never negative, with the long tail that answers over a network have."""
        mean = self._controls.latency_ms
        jitter = mean / 4 if self._controls.jitter_ms is None else self._controls.jitter_ms
        if not mean or not jitter:
            return mean
        return generator.gammavariate((mean / jitter) ** 2, jitter**2 / mean)

    def _due(self, names: Set[str], body: bytes) -> list[NextRequest]:
        due = []
        for waiting in self._waiting:
            shot = waiting.shot
            if shot.match not in ("*", *names) or shot.contains.encode() not in body:
                continue
            if waiting.skip:
                waiting.skip -= 1
                continue
            waiting.count -= 1
            due.append(shot)
        if due:
            self._waiting = [waiting for waiting in self._waiting if waiting.count]
        return due

    def expect(self, shots: list[NextRequest]) -> None:
        """Adds one-shots behind those that are waiting."""
        self._waiting += [_Waiting(shot, shot.skip, shot.count) for shot in shots]

    def forget_expected(self) -> None:
        self._waiting.clear()

    def expected(self) -> list[dict[str, Any]]:
        """The one-shots that are waiting, with what is left of them."""
        return [
            waiting.shot.model_dump(by_alias=True, exclude_none=True)
            | {"skip": waiting.skip, "count": waiting.count}
            for waiting in self._waiting
        ]

    def _drawn(self, generator: random.Random, reads_only: bool) -> Fault | None:
        kinds = [fault for fault in Fault if reads_only or fault is not Fault.STALE_READ]
        share = generator.random()
        for kind in kinds:
            share -= self._controls.faults.get(kind, 0) + self._controls.fault_rate / len(kinds)
            if share < 0:
                return kind
        return None


class Refusals:
    """Single fields that fail on demand: one alias of a batch is refused while its neighbours stand."""

    def __init__(self) -> None:
        self._due: dict[str, list[Refusal]] = {}

    def add(self, refusal: Refusal) -> None:
        self._due.setdefault(refusal.ref, []).extend([refusal] * refusal.count)

    def take(self, ref: str | None) -> Refusal | None:
        due = self._due.get(ref or "")
        return due.pop(0) if due else None

    def waiting(self) -> dict[str, int]:
        return {ref: len(due) for ref, due in self._due.items() if due}

    def guarding(self, resolvers: Resolvers) -> Resolvers:
        """The same mutations, each asking first whether it is to be refused."""
        mutations = {name: self._guarded(resolve) for name, resolve in resolvers["Mutation"].items()}
        return {**resolvers, "Mutation": mutations}

    def _guarded(self, resolve: Resolver) -> Resolver:
        def guarded(source: object, info: Info, **args: Any) -> Any:
            refusal = self.take((args.get("input") or {}).get("ref"))
            if refusal is not None and not refusal.applied:
                raise _refused(refusal)
            result = resolve(source, info, **args)
            if refusal is not None:
                raise _refused(refusal)
            return result

        return guarded


def _refused(refusal: Refusal) -> FluentError:
    return FluentError(refusal.code, f"refused on demand: {refusal.ref}")
