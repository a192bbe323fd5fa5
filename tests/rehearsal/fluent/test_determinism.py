"""The same seed and the same requests: the same faults, whatever the order in which requests arrive."""

from __future__ import annotations

from rehearsal.fluent.faults import Fate, FaultPlan
from rehearsal.fluent.switches import Controls, Fault

BODIES = [b'{"query":"%d"}' % number for number in range(200)] * 3


def fates(seed: int, bodies: list[bytes], **controls: object) -> dict[bytes, list[Fate]]:
    plan = FaultPlan(seed, Controls.model_validate({"fault_rate": 0.3, "latency_ms": 50, **controls}))
    found: dict[bytes, list[Fate]] = {}
    for body in bodies:
        found.setdefault(body, []).append(plan.fate(frozenset(), body, reads_only=True))
    return found


def test_the_same_requests_meet_the_same_fate() -> None:
    assert fates(7, BODIES) == fates(7, BODIES)


def test_the_order_of_arrival_changes_nothing() -> None:
    assert fates(7, BODIES) == fates(7, sorted(BODIES, reverse=True))


def test_another_seed_gives_other_faults() -> None:
    assert fates(7, BODIES) != fates(8, BODIES)


def test_a_repeat_is_not_bound_to_fail_again() -> None:
    assert any(len({fate.fault for fate in repeats}) > 1 for repeats in fates(7, BODIES).values())


def test_the_rates_are_kept() -> None:
    bodies = [b"%d" % number for number in range(20_000)]
    met = [fate.fault for repeats in fates(7, bodies).values() for fate in repeats]
    share = sum(fault is not None for fault in met) / len(met)
    assert 0.28 < share < 0.32
    for fault in Fault:
        assert 0.3 / len(Fault) * 0.8 < met.count(fault) / len(met) < 0.3 / len(Fault) * 1.2


def test_a_kind_can_have_a_rate_of_its_own() -> None:
    bodies = [b"%d" % number for number in range(5_000)]
    found = fates(7, bodies, fault_rate=0, faults={"closeAfter": 0.1})
    met = [fate.fault for repeats in found.values() for fate in repeats if fate.fault is not None]
    assert set(met) == {Fault.CLOSE_AFTER}
    assert 400 < len(met) < 600


def test_latency_scatters_around_its_mean_and_is_never_negative() -> None:
    latencies = sorted(
        fate.latency_ms for repeats in fates(7, BODIES, jitter_ms=25).values() for fate in repeats
    )
    assert latencies[0] > 0
    assert 45 < sum(latencies) / len(latencies) < 55
    assert latencies[-1] > 90
