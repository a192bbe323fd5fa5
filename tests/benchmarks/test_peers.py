"""`make bench-peers`: the same orders and the same audit for everybody."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from benchmarks.peers import java
from benchmarks.peers.__main__ import main
from benchmarks.peers.audit import find_faults
from benchmarks.peers.peer import OURS, PEERS, Peer
from benchmarks.peers.programs.loop import outcome
from benchmarks.peers.report import markdown, plots
from benchmarks.peers.run import Measured, measure
from benchmarks.peers.workload import REPEATED_AFTER, WORKLOADS, Orders, Workload, make
from benchmarks.result import Arena
from tests.support.kafka import KafkaUnderTest

SPREAD, HOT, BASKETS = WORKLOADS
BY_NAME = {peer.name: peer for peer in PEERS}


def decided(orders: Orders) -> list[bytes]:
    """What comes out when nothing is wrong."""
    left = dict.fromkeys(orders.asked, orders.units)
    known: dict[str, bytes] = {}
    answers = []
    for ref, skus in orders.events:
        if ref not in known:
            results = [(sku, 1, left[sku] > 0) for sku in skus]
            for sku, _, taken in results:
                left[sku] -= taken
            known[ref] = outcome(ref, "BENCH", results)
        answers.append(known[ref])
    return answers


def changed(value: bytes, consumed: bool) -> bytes:
    record = json.loads(value)
    record["consumeResults"][0]["consumed"] = consumed
    return json.dumps(record).encode()


def of(answers: Iterable[bytes], *, consumed: bool) -> int:
    """Where the first order is, after the one that is repeated, whose first line was taken, or was not."""
    lines = ((n, json.loads(answer)["consumeResults"][0]) for n, answer in enumerate(answers))
    return next(n for n, line in lines if n > REPEATED_AFTER + 1 and line["consumed"] is consumed)


@pytest.fixture
def arena(kafka: KafkaUnderTest, tmp_path: Path) -> Arena:
    return Arena(kafka.bootstrap, os.getpid(), tmp_path)


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_everybody_gets_the_same_orders_some_of_them_twice(workload: Workload) -> None:
    orders = make(workload, 2_000)
    assert orders.events == make(workload, 2_000).events
    assert len(orders.events) == 2_002
    assert max(orders.asked.values()) > orders.units, "somebody is refused"
    assert not find_faults(orders, decided(orders))


def test_orders_are_keyed_as_a_peer_needs_them() -> None:
    orders = make(HOT, 100)
    assert {key for key, _ in orders.records("ref")} == {ref.encode() for ref, _ in orders.events}
    assert b"SKU-0" in {key for key, _ in orders.records("sku")}


def test_the_audit_finds_what_is_oversold_and_what_is_left() -> None:
    orders = make(HOT, 2_000)
    answers = decided(orders)
    refused, taken = of(answers, consumed=False), of(answers, consumed=True)
    oversold = [*answers[:refused], changed(answers[refused], True), *answers[refused + 1 :]]
    assert find_faults(orders, oversold) == ["1 SKUs are oversold"]
    undersold = [*answers[:taken], changed(answers[taken], False), *answers[taken + 1 :]]
    assert find_faults(orders, undersold) == ["1 SKUs have units left although orders were refused"]


def test_the_audit_finds_outcomes_that_are_missing_too_many_or_of_other_lines() -> None:
    orders = make(BASKETS, 100)
    answers = decided(orders)
    first, second, *others = answers
    assert "1 orders have no outcome" in find_faults(orders, [first, *others])
    assert find_faults(orders, [*answers, second]) == ["1 orders have another number of outcomes than events"]
    shorter = outcome("ORD-1", "BENCH", [(sku, 1, True) for sku in orders.events[1][1][1:]])
    assert "1 orders have other lines than were asked for" in find_faults(orders, [first, shorter, *others])
    assert "1 outcomes are of no order" in find_faults(orders, [*answers, outcome("ORD-X", "BENCH", [])])


def test_the_audit_finds_a_repeat_that_was_decided_anew() -> None:
    orders = make(SPREAD, 200)
    answers = decided(orders)
    (repeat,) = (n for n, (ref, _) in enumerate(orders.events) if ref in {r for r, _ in orders.events[:n]})
    answers[repeat] = changed(answers[repeat], False)
    assert find_faults(orders, answers) == ["1 orders were decided differently when they were repeated"]


def test_what_is_not_installed_is_said_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "apt-get install openjdk" in java.missing()


def test_a_peer_that_there_is_not_is_named_with_those_that_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["storm"])
    assert ended.value.code == 2
    assert "storm; there are: ours, ours-sku, ours-two, streams" in capsys.readouterr().err


def test_the_table_has_ratios_to_ours_and_what_the_audit_found() -> None:
    peers = [BY_NAME[OURS], BY_NAME["raw"]]
    found = {
        (OURS, "spread"): Measured(10.0, 1_000, 30.0, 20.0, 300.0, 120.0),
        ("raw", "spread"): Measured(5.0, 1_000, 10.0, 5.0, 30.0, 180.0, ["3 SKUs are oversold"]),
    }
    text = markdown(peers, found, ["Redis. There is none."], 1_000)
    assert "| ours, keyed by ref | 1.00 (1.00) | 100 (120) |" in text
    assert "| raw consumer loop: the bound | 2.00 (1.50) | 200 (180) wrong |" in text
    assert "| ours, keyed by ref | 30 + 20 | 300 |" in text
    assert "- raw consumer loop: the bound, spread: 3 SKUs are oversold." in text
    assert "- Redis. There is none." in text
    assert list(plots(peers, found)) == ["peers-spread.svg"]


@pytest.mark.kafka
@pytest.mark.slow
def test_a_peer_and_this_software_pass_the_same_audit(arena: Arena) -> None:
    for name, count in (("raw", REPEATED_AFTER), (OURS, 1_100)):
        orders = make(BASKETS, count)  # the raw loop's without a repeat, which it would decide anew
        measured = measure(arena, BY_NAME[name], "baskets", orders)
        assert not measured.faults
        assert measured.rate > 0 and measured.rss_mb > 0
    assert measured.client_us > 0 and measured.later_rate > 0


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.parametrize("name", ["streams-any", "postgres-batch", "redis"])
def test_peers_that_are_installed_pass_it_with_baskets_and_repeats(arena: Arena, name: str) -> None:
    if why := BY_NAME[name].missing():
        pytest.skip(why)
    assert not measure(arena, BY_NAME[name], "baskets", make(BASKETS, 1_100)).faults


@pytest.mark.kafka
def test_a_peer_that_ends_is_an_error_with_its_last_words(arena: Arena) -> None:
    words = [sys.executable, "-c", "raise SystemExit('I have no stock')"]
    peer = Peer("broken", "broken", "ref", "none", command=lambda *_: words)
    with pytest.raises(RuntimeError, match="I have no stock"):
        measure(arena, peer, "spread", make(SPREAD, 100))
