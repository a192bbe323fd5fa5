"""What holds a close up, or might: a takeover, a hold without an answer, a large start, a lost partition."""

from __future__ import annotations

import json
import signal
from datetime import datetime
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from rehearsal.kafka import KafkaCluster
from tests.support.audit import promotion_start
from tests.support.deadlines import (
    GRACE_S,
    TAKEN,
    Deadline,
    answers,
    in_sync,
    orders,
    place,
    released_after_s,
    started,
)
from tests.support.kafka import KafkaUnderTest
from tests.support.system import WorkerProcess, system, wait_until

SKUS = [f"SKU-{i}" for i in range(8)]
STOCK = {sku: {"LOC-1": 1_000} for sku in SKUS}


def opened_at(worker: WorkerProcess) -> float:
    """Unix time at which a worker last had all its tasks open."""
    lines = [json.loads(line) for line in worker.log.splitlines() if '"tasks_open"' in line]
    return datetime.fromisoformat(lines[-1]["timestamp"]).timestamp()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_idle_sales_are_released_within_a_second_right_after_a_takeover(
    kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path, how: signal.Signals
) -> None:
    with system(kafka.bootstrap, topic_prefix, tmp_path, STOCK, partitions=4) as sale:
        victim, survivor = sale.start_worker(), sale.start_worker()
        deadline = Deadline.within(8)
        started(sale, dict.fromkeys(SKUS, 10), deadline)
        deadline.wait(-1)
        if how is signal.SIGKILL:
            victim.kill()
        else:
            assert victim.terminate() == 0
        releases = released_after_s(sale, deadline.ms, len(SKUS))
        late_s = max(0.0, opened_at(survivor) - deadline.at.timestamp() - GRACE_S)
        assert all(0 < after_s < late_s + 1 for after_s in releases)


@pytest.mark.slow
def test_a_start_of_ten_thousand_skus_and_the_orders_behind_it_are_in_time_after_a_backlog(
    kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path
) -> None:
    skus = [f"SKU-{i}" for i in range(10_000)]
    config = {
        "fluentRequestsPerSecond": 1_000,
        "fluentAskAgainSeconds": 10,
        "fluentTimeoutSeconds": 10,
        "holdTimeoutSeconds": 300,
        "closeTimeoutSeconds": 300,
        "kafkaSessionTimeoutMs": 20_000,
        "reconciliationIntervalSeconds": 120,
    }
    stock = {sku: {"LOC-1": 5} for sku in skus}
    with system(kafka.bootstrap, topic_prefix, tmp_path, stock, **config) as sale:
        deadline = Deadline.within(4)
        sale.publish(
            "promotion-start", [promotion_start("P", dict.fromkeys(skus, 1), expiresAt=deadline.text)]
        )
        place(sale, orders("O", 12_000, skus))
        deadline.wait(0.5)
        place(sale, orders("LATE", 200, skus))
        deadline.wait(2)
        sale.start_worker()
        sale.wait_for("order-outcomes", 12_200, 180)
        found = answers(sale, deadline.ms)
        assert found.in_time == {TAKEN: 10_000, "EXHAUSTED": 2_000}
        assert found.late == {"EXPIRED": 200}
        assert len(sale.wait_for("reservation-releases", len(skus), 60)) == len(skus)


@pytest.mark.parametrize("answered", [True, False])
def test_claims_that_wait_for_a_hold_at_the_deadline_are_decided_by_fluents_answer_or_its_time_out(
    kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path, answered: bool
) -> None:
    config = {"holdTimeoutSeconds": 60 if answered else 9, "fluentAskAgainSeconds": 1}
    with system(kafka.bootstrap, topic_prefix, tmp_path, STOCK, **config) as sale:
        sale.start_worker()
        sale.fluent.control(failing=503)
        deadline = Deadline.within(5)
        stock = dict.fromkeys(SKUS[:2], 15)
        sale.publish("promotion-start", [promotion_start("P", stock, expiresAt=deadline.text)])
        place(sale, orders("O", 40, SKUS[:2]))
        deadline.wait(0.05)
        place(sale, orders("LATE", 10, SKUS[:2]))
        late = sale.wait_for("order-outcomes", 10)
        assert {m.json["consumeResults"][0]["reason"] for m in late} == {"EXPIRED"}
        deadline.wait(1.5)
        assert len(sale.read("order-outcomes")) == 10
        assert sale.read("reservation-releases") == []
        if answered:
            sale.fluent.control(failing=0)
        sale.wait_for("order-outcomes", 50)
        found = answers(sale, deadline.ms)
        taken = {TAKEN: 30, "EXHAUSTED": 10} if answered else {"FLUENT_UNAVAILABLE": 40}
        assert (found.in_time, found.late) == (taken, {"EXPIRED": 10})
        sale.fluent.control(failing=0)
        wait_until(lambda: all(t["held"] == 0 for t in sale.fluent.truth().values()), "nothing is held")


@pytest.mark.slow
def test_a_partition_without_a_leader_delays_the_release_to_the_longest_backlog_and_is_named(
    topic_prefix: str, tmp_path: Path
) -> None:
    with KafkaCluster() as cluster:
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
        stamped = {"message.timestamp.type": "LogAppendTime"}
        single = NewTopic(
            f"{topic_prefix}order-placed", 3, replica_assignment=[[1], [2], [3]], config=stamped
        )
        for future in admin.create_topics([single]).values():
            future.result(20)
        options = {"replicationFactor": 3, "maxBacklogSeconds": 15, "kafkaSessionTimeoutMs": 6_000}
        with system(cluster.bootstrap, topic_prefix, tmp_path, STOCK, **options) as sale:
            worker = sale.start_worker()
            deadline = Deadline.within(10)
            started(sale, dict.fromkeys(SKUS, 10), deadline)
            place(sale, orders("O", 30, SKUS))
            cluster.nodes[2].kill()
            releases = released_after_s(sale, deadline.ms, len(SKUS), 90)
            assert all(after_s > 15 for after_s in releases)
            said = [json.loads(line) for line in worker.log.splitlines() if '"backlog_given_up"' in line]
            assert said[0]["partitions"] == [f"{topic_prefix}order-placed/2: nobody answers for it"]


@pytest.mark.slow
def test_orders_that_are_not_replicated_when_a_broker_dies_before_the_deadline_are_waited_for(
    topic_prefix: str, tmp_path: Path
) -> None:
    """Until the controller has noticed, nobody can read what is in one partition of order-placed.

    Everything else is on the other two brokers, and goes on.
    """
    overrides = {
        "broker.session.timeout.ms": "9000",
        "min.insync.replicas": "1",
        "offsets.topic.replication.factor": "2",
        "transaction.state.log.replication.factor": "2",
        "transaction.state.log.min.isr": "1",
    }
    with KafkaCluster(overrides=overrides) as cluster:
        bootstrap = ",".join(node.bootstrap for node in cluster.nodes[:2])
        dying, admin = cluster.nodes[2], AdminClient({"bootstrap.servers": bootstrap})
        dying.kill()
        wait_until(lambda: set(admin.list_topics(timeout=10).brokers) == {1, 2}, "two brokers are left")
        with system(bootstrap, topic_prefix, tmp_path, STOCK, replicationFactor=2) as sale:
            assert sale.start_worker().terminate() == 0  # now Kafka's own topics are there
            dying.start()
            topic, number = f"{topic_prefix}order-placed", 2
            [added] = admin.create_partitions([NewPartitions(topic, 3, [[1, 3]])]).values()
            added.result(20)
            wait_until(lambda: in_sync(admin, topic, number) == {1, 3}, "the new partition is replicated")
            sale.start_worker()
            deadline = Deadline.within(15)
            started(sale, dict.fromkeys(SKUS, 10), deadline)
            deadline.wait(-5)
            dying.kill()
            producer = Producer({"bootstrap.servers": bootstrap, "acks": "1"})
            for event in orders("O", 40, SKUS):
                producer.produce(topic, json.dumps(event), partition=number)
            assert producer.flush(4.0) == 0
            sale.wait_for("order-outcomes", 40)
            assert answers(sale, deadline.ms).in_time == {TAKEN: 40}
            assert len(sale.wait_for("reservation-releases", len(SKUS))) == len(SKUS)
