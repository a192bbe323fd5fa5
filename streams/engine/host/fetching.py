"""Taking fetched records out of aiokafka with the exact range of offsets that each fetch covers.

`Fetcher.fetched_records` returns records only. A consumer of transactional logs must also know which
offsets held none (transaction markers, aborted records), or it cannot tell a hole from a loss.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiokafka
from aiokafka.consumer.fetcher import FetchResult
from faust.exceptions import ConsumerNotStarted
from faust.types import TP

from streams.engine.fetched import Fetched

Fetches = dict[TP, list[Fetched]]

PAUSE_S = 0.008
"""From a take to the next fetch request. aiokafka asks for more as soon as it was emptied, and the broker
answers with the first record that comes: a trickle would be one fetch and one event for each record. After a
pause one fetch brings what came in meanwhile, of all partitions."""

FULL = 500
"""After a take of at least this many records the next fetch is asked for at once."""

FETCH_WAIT_MS = 50
"""How long the broker may hold a fetch back while records come. Faust asks for 1.5 s; aiokafka has one
fetch under way per broker, and a partition that was drained meanwhile is not asked for before it is back."""

IDLE_FETCH_WAIT_MS = 250
"""And while none come: then every partition is in the fetch under way, so that the first record is seen at
once. Each fetch names all partitions, which is what a worker without work pays for."""

IDLE_AFTER_S = 2.0
"""Without a record for so long a worker counts as idle."""


async def drain(
    consumer: aiokafka.AIOKafkaConsumer, active: set[TP] | None, timeout: float, max_records: int
) -> Fetches:
    """What was fetched for the active partitions, waiting up to `timeout` seconds for the first of it.

    Runs in the consumer's thread. Raises the broker's error when there is one and nothing else.
    """
    fetcher = consumer._fetcher
    if consumer._closed or fetcher._closed:
        raise ConsumerNotStarted("the consumer is closed")
    with fetcher._subscriptions.fetch_context():
        if fetcher._subscriptions.reassignment_in_progress:
            await fetcher._subscriptions.wait_for_assignment()
        fetches = _take_and_ask(fetcher, active, max_records)
        if fetches or not timeout:
            return fetches
        waiter = fetcher._create_fetch_waiter()
        done, _ = await asyncio.wait([waiter], timeout=timeout)
        if not done:
            waiter.cancel()
            _rest(fetcher)
            return {}
        return _take_and_ask(fetcher, active, max_records)


def is_heavy(fetches: Fetches) -> bool:
    """Whether no more should be fetched before these are taken in."""
    return any(fetched.heavy for of_partition in fetches.values() for fetched in of_partition)


def _take_and_ask(fetcher: Any, active: set[TP] | None, max_records: int) -> Fetches:
    """Take what is there, and see to it that the next fetch is asked for."""
    waiting = len(fetcher._records)
    fetches = _take(fetcher, active, max_records)
    if len(fetcher._records) < waiting:
        fetcher._fetch_max_wait_ms, fetcher._took_at = FETCH_WAIT_MS, time.monotonic()
        taken = sum(len(fetched.records) for of_partition in fetches.values() for fetched in of_partition)
        pause_s = 0 if taken >= FULL else PAUSE_S
        asyncio.get_running_loop().call_later(pause_s, _ask, fetcher)
    return fetches


def _rest(fetcher: Any) -> None:
    """Let the broker hold fetches back for longer once nothing has come for a while."""
    if time.monotonic() - getattr(fetcher, "_took_at", 0.0) > IDLE_AFTER_S:
        fetcher._fetch_max_wait_ms = IDLE_FETCH_WAIT_MS


def _ask(fetcher: Any) -> None:
    fetcher._notify(fetcher._wait_consume_future)


def _take(fetcher: Any, active: set[TP] | None, max_records: int) -> Fetches:
    fetches: Fetches = {}
    room = max_records
    for tp in list(fetcher._records):
        if active and tp not in active:
            if not fetcher._subscriptions.is_assigned(tp):
                del fetcher._records[tp]
            continue
        result = fetcher._records[tp]
        if not isinstance(result, FetchResult):
            if not fetches:
                del fetcher._records[tp]
                fetcher._notify(fetcher._wait_consume_future)
                result.check_raise()
            continue
        fetched = _range(fetcher, tp, result, room)
        if fetched is not None:
            fetches[TP(tp.topic, tp.partition)] = [fetched]
            room -= len(fetched.records)
            if room <= 0 or fetched.heavy:
                break
    return fetches


def _as_it_is(_tp: Any, record: Any) -> Any:
    """aiokafka copies every record into a larger one; the C one has all that is wanted (1.5 µs a record)."""
    return record


def _range(fetcher: Any, tp: Any, result: Any, max_records: int) -> Fetched | None:
    """One fetch's records and the offsets that they cover, or None when it is stale or covers nothing."""
    source = result._partition_records
    start = source.next_fetch_offset if source is not None else 0
    if source is not None:
        source._consumer_record = _as_it_is
    records = result.getall(max_records)
    following = source.next_fetch_offset if source is not None else 0
    stale = source is None or (result._partition_records is None and not records and following == start)
    if not result.has_more():
        del fetcher._records[tp]
    if stale or following == start:
        return None
    return Fetched(tp.topic, tp.partition, start, following, records, source._records.is_heavy)
