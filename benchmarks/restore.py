"""Restoring a task's rows after its disk is gone: 500,000 claims from the changelog."""

from __future__ import annotations

import re
import shutil

from benchmarks import prefill
from benchmarks.result import Arena, Result
from benchmarks.workers import MeasuredWorker
from rehearsal.kafka.config import free_port
from schemas.topics import SKU_COMMANDS

CLAIMS = 500_000
SKUS = 1_000
RESTORED = re.compile(r'"records": (\d+), "seconds": ([\d.]+).*"rows.restored"')


def run(arena: Arena) -> list[Result]:
    """Records a second, from the changelog into RocksDB, one partition."""
    settings, environment = arena.settings(1)
    topic = settings.prefixed(SKU_COMMANDS)
    total = prefill.send(arena.client, topic, prefill.reserved(SKUS))
    total += prefill.send(arena.client, topic, prefill.claims(CLAIMS, prefill.spread(SKUS)))
    with MeasuredWorker(environment, arena.directory, free_port(), [SKU_COMMANDS]) as worker:
        worker.wait("flashsale_records_total", total)
    shutil.rmtree(settings.data_dir)
    with MeasuredWorker(environment, arena.directory, free_port(), [SKU_COMMANDS]) as worker:
        worker.wait("flashsale_ready", 1)
        memory = worker.rss_mb()
        found = RESTORED.findall(worker.log.read_text())
    records, seconds = int(found[-1][0]), float(found[-1][1])
    notes = f"{records:,} rows in {seconds:.1f} s, RSS {memory:.0f} MB"
    return [Result("restore", records / seconds, "records/s", "150,000 /s", notes)]
