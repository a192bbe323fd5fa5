"""The peers: what each is, what it guarantees, what it needs, and how it is started."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from benchmarks.peers import java, servers
from benchmarks.peers.servers import Server
from benchmarks.peers.workload import Key

PYTHON = Path(sys.prefix) / "peers" / "bin" / "python"
"""Of the peers' own environment, which `make bench-peers` sets up."""

PROGRAMS = "benchmarks.peers.programs"
ONE_LINE = ("spread", "hot")
ALL = (*ONE_LINE, "baskets")
OURS = "ours"

Command = Callable[[Path, str], list[str]]


@dataclass(frozen=True)
class Peer:
    """One way to do it.

    `command` gets a folder and the workload's name; `missing` says in a sentence what is not installed.
    """

    name: str
    title: str
    key: Key
    guarantees: str
    workloads: tuple[str, ...] = ALL
    command: Command | None = None
    """None: it is this software, which is measured as `make bench` does it."""
    missing: Callable[[], str] = str
    server: Callable[[], AbstractContextManager[Server]] | None = None
    workers: int = 1
    """Processes of ours that share the partitions."""


def _own(module: str, *arguments: str) -> Command:
    return lambda *_: [sys.executable, "-m", f"{PROGRAMS}.{module}", *arguments]


def _other(module: str, *arguments: str) -> Command:
    return lambda *_: [str(PYTHON), "-m", f"{PROGRAMS}.{module}", *arguments]


def _streams(topology: str) -> Command:
    return lambda folder, workload: java.command(folder, "baskets" if workload == "baskets" else topology)


@cache
def _no_package(name: str) -> str:
    """Why a package of the peers' environment cannot be imported, or ""."""
    if not PYTHON.exists():
        return f"The peers' environment is missing: make peers sets it up in {PYTHON.parent.parent}."
    done = subprocess.run([PYTHON, "-c", f"import {name}"], capture_output=True, check=False)
    return (
        f"{name} is not installed: make peers installs it, where the package index has it."
        if done.returncode
        else ""
    )


def _no_postgres() -> str:
    if servers.find_postgres() is None:
        return "There is no PostgreSQL server (Debian: apt-get install postgresql)."
    return _no_package("psycopg")


def _no_redis() -> str:
    if servers.find_redis() is None:
        return "There is no Redis server (Debian: apt-get install redis-server)."
    return _no_package("redis")


_STREAMS = "each order decided once, outcomes read_committed, state in the changelog"
_DATABASE = "decisions durable and remembered by order; an outcome may be published twice after a crash"

PEERS: tuple[Peer, ...] = (
    Peer(
        OURS,
        "ours, keyed by ref",
        "ref",
        "each order decided once, outcomes read_committed, state in the changelog; any key, partitioner and "
        "number of partitions; time by the broker, waiting for Fluent, cancels, expiry, reports",
    ),
    Peer("ours-sku", "ours, keyed by SKU", "sku", "the same: an order of another key is sent home once"),
    Peer(
        "ours-two",
        "ours, keyed by ref, two workers",
        "ref",
        "the same: partitions move between them",
        workers=2,
    ),
    Peer(
        "streams",
        "Kafka Streams exactly_once_v2, keyed by SKU",
        "sku",
        f"{_STREAMS}; the producer has to key by SKU",
        ONE_LINE,
        _streams("keyed"),
        java.missing,
    ),
    Peer(
        "streams-any",
        "Kafka Streams exactly_once_v2, any key (repartition)",
        "ref",
        f"{_STREAMS}; any key; orders of several lines take two repartitions",
        ALL,
        _streams("any"),
        java.missing,
    ),
    Peer(
        "quix",
        "Quix Streams exactly-once, keyed by SKU",
        "sku",
        f"{_STREAMS}; the producer has to key by SKU",
        ONE_LINE,
        _other("quix", "keyed"),
        partial(_no_package, "quixstreams"),
    ),
    Peer(
        "quix-any",
        "Quix Streams exactly-once, any key (group_by)",
        "ref",
        f"{_STREAMS}; any key",
        ONE_LINE,
        _other("quix", "grouped"),
        partial(_no_package, "quixstreams"),
    ),
    Peer(
        "faust",
        "plain Faust, keyed by SKU",
        "sku",
        "at least once: after a crash units may be taken twice; the producer has to key by SKU",
        ONE_LINE,
        _own("plain_faust"),
    ),
    Peer(
        "postgres",
        "PostgreSQL row lock, a transaction an order",
        "ref",
        _DATABASE,
        ALL,
        _other("postgres", "per-order"),
        _no_postgres,
        servers.postgres,
    ),
    Peer(
        "postgres-batch",
        "PostgreSQL row lock, a transaction a batch",
        "ref",
        _DATABASE,
        ALL,
        _other("postgres", "per-batch"),
        _no_postgres,
        servers.postgres,
    ),
    Peer(
        "redis",
        "Redis + Lua, append-only file fsynced",
        "ref",
        f"{_DATABASE}; everything in one process's memory",
        ALL,
        _other("redis_lua"),
        _no_redis,
        servers.redis,
    ),
    Peer(
        "raw",
        "raw consumer loop: the bound",
        "ref",
        "none: stock is lost with the process, a repeat is decided anew",
        ALL,
        _own("raw_loop"),
    ),
)
