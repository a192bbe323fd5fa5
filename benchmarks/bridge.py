"""The bridge's acknowledgement at 500 requests a second while broker and worker decide what it sends.

Measured at the client, from the moment at which a request was due (so a stall counts for all that it delays)
to the answer's last byte.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.request import urlopen

from benchmarks import prefill
from benchmarks.jit import warm_up
from benchmarks.result import Arena, Result, p50_and_p99_ms
from benchmarks.workers import MeasuredWorker
from bridge.signing import sign
from rehearsal.kafka.config import free_port
from schemas.topics import SKU_COMMANDS

RATE = 500
SECONDS = 15
CONNECTIONS = 64
SKUS = 1_000
PARTITIONS = 2
WARM_SHARE = 0.2
CLIENT, SECRET = "bench", "benchmark"
ROUTE = "/consume-reservation"


def run(arena: Arena) -> list[Result]:
    """p99 of the acknowledgement; what is not shown are the runs that warm the broker up."""
    warm_up(arena.broker_pid, partial(_measure, arena))
    return _measure(arena)


def _measure(arena: Arena) -> list[Result]:
    settings, environment = arena.settings(PARTITIONS)
    prefill.send(arena.client, settings.prefixed(SKU_COMMANDS), prefill.reserved(SKUS))
    port = free_port()
    with (
        MeasuredWorker(environment, arena.directory, free_port()) as worker,
        serving(environment, arena.directory, port),
    ):
        worker.wait("flashsale_records_total", 2 * SKUS)
        taken = asyncio.run(_load(port))
    p50, p99 = p50_and_p99_ms(taken, WARM_SHARE)
    notes = f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, {len(taken):,} signed orders, worker beside it"
    return [Result(f"bridge, {RATE} requests/s", p99, "ms p99", "50 ms", notes)]


@contextmanager
def serving(
    environment: Mapping[str, str], directory: Path, port: int, *arguments: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A bridge that is ready."""
    log = directory / f"bridge-{port}.log"
    own = {"BRIDGE_SECRETS": f"{CLIENT}:{SECRET}"}
    command = [sys.executable, "-m", "flashsale.cli", "bridge", "--port", str(port), *arguments]
    with log.open("wb") as out:
        process = subprocess.Popen(command, env={**os.environ, **environment, **own}, stderr=out)
    try:
        _wait_ready(process, port, log)
        yield process
    finally:
        process.terminate()
        process.wait(30)


def _wait_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the bridge is not ready:\n{log.read_text()[-2000:]}") from None
            time.sleep(0.1)


async def _load(port: int) -> list[float]:
    """Seconds from when each request was due to its answer, in order of the requests."""
    turns = iter(range(RATE * SECONDS))
    taken = [0.0] * (RATE * SECONDS)
    began = time.perf_counter() + 0.5

    async def caller() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in turns:
            due = began + number / RATE
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            writer.write(_request(number))
            await _accepted(reader)
            taken[number] = time.perf_counter() - due
        writer.close()

    await asyncio.gather(*(caller() for _ in range(CONNECTIONS)))
    return taken


def _request(number: int) -> bytes:
    items = [{"sku": f"SKU-{number * 7919 % SKUS}", "quantity": 1}]
    order = {"ref": f"B-{number}", "promotionId": "BENCH", "items": items}
    body = json.dumps({"order": order}).encode()
    now = int(time.time())
    head = (
        f"POST {ROUTE} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}\r\nX-Client-Id: {CLIENT}\r\n"
        f"X-Timestamp: {now}\r\nX-Signature: {sign(SECRET, now, 'POST', ROUTE, body)}\r\n\r\n"
    )
    return head.encode() + body


async def _accepted(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 202 "):
        raise RuntimeError(head.decode())
    length = next(line for line in head.lower().splitlines() if line.startswith(b"content-length:"))
    await reader.readexactly(int(length.split(b":")[1]))
