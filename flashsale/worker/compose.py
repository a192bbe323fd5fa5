"""Puts a worker together: settings → stages → engine → Faust agents, timers, gateway, metrics."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import faust

from agents import orders, promotions, reservations
from agents.fluent_requests import RequestAgent
from agents.intake import Mapper, intakes
from agents.shell import CommandStage
from agents.timers import Timers
from flashsale.worker.fluent_metrics import FluentCollector
from flashsale.worker.metrics import Metrics
from flashsale.worker.parts import Worker
from flashsale.worker.terms import terms_of
from flashsale.worker.upkeep import add_upkeep
from fluent import FluentOptions, Gateway, ProfileError, RequestQueue, options_from
from schemas.topics import FLUENT_REQUESTS, INPUTS, ORDER_COMMANDS, PROMOTION_COMMANDS, SKU_COMMANDS, STAGES
from streams.app import build, declared_partitions
from streams.engine.engine import Engine, EngineOptions
from streams.engine.host.app import die
from streams.engine.host.hooks import Hooks, Lease
from streams.engine.sender import Sender
from streams.engine.stage import Stage
from streams.kafka import client_config
from streams.ledger import orders as orders_core
from streams.ledger import promotions as promotions_core
from streams.ledger import reservations as reservations_core
from streams.log import get_logger
from streams.settings import ConfigurationError, Settings
from streams.settings.mapping import map_message

log = get_logger("worker")

CONSUMED = (*INPUTS, *STAGES, FLUENT_REQUESTS)

CALL_SHARE_OF_SESSION = 0.5
"""Heartbeats come every sixth of a session, so a fresh lease is never shorter than five sixths of one."""


def _gateway(settings: Settings, lease: Lease) -> Gateway:
    try:
        gateway = Gateway(_fluent_options(settings), lease_expires_at=lease.expires_at)
    except ProfileError as error:
        raise ConfigurationError(f"The Fluent profile is not usable: {error}.") from None
    if settings.config.settlement == "sale" and not gateway.profile.books_sales:
        profile = settings.config.fluent_profile
        raise ConfigurationError(f'settlement is "sale", but the profile {profile} can not book sales.')
    return gateway


def _fluent_options(settings: Settings) -> FluentOptions:
    """A call must end well before the broker may give our partitions away, or no lease would cover it."""
    options = options_from(settings.fluent, settings.config)
    session_s = settings.config.kafka_session_timeout_ms / 1000
    within_s = min(options.call_timeout_s, CALL_SHARE_OF_SESSION * session_s)
    return replace(
        options, call_timeout_s=within_s, connect_timeout_s=min(options.connect_timeout_s, within_s)
    )


def compose(settings: Settings, consumed: Sequence[str] = CONSUMED) -> Worker:
    """Build a worker that consumes the topics `consumed`; nothing is started and no broker is asked yet.

    Raises ConfigurationError.
    """
    settings.require_fluent()
    metrics, client = Metrics(), client_config(settings)
    options = EngineOptions(client, settings.topic_prefix, settings.data_dir)
    engine = Engine(options, _stages(settings), _intakes(settings), metrics, die)
    lease = Lease(engine, settings.config.kafka_session_timeout_ms / 1_000)
    sender = Sender(client, settings.prefixed)
    gateway = _gateway(settings, lease)
    metrics.registry.register(FluentCollector(gateway.meters))
    requests = RequestAgent(settings.prefixed(FLUENT_REQUESTS), RequestQueue(gateway), sender)

    def on_opened() -> None:
        metrics.restore_seconds.set(engine.opened_in_s)
        print("ready", file=sys.stderr, flush=True)

    async def on_stopped() -> None:
        await requests.close()
        await engine.close()
        sender.close()
        log.info("worker stopped")

    hooks = Hooks(
        lease,
        declared_partitions(settings),
        requests.durable_offset,
        partial(requests.suspend, gateway.options.call_timeout_s),
        on_opened,
        on_stopped,
    )
    app = build(settings, engine, hooks)
    app.on_partitions_revoked.connect(lambda *_, **__: requests.revoked())
    worker = Worker(settings, app, engine, metrics, sender, requests, Timers(sender.to_partition))
    _add_agents(worker, consumed)
    add_upkeep(worker)
    return worker


def _stages(settings: Settings) -> dict[str, Stage]:
    parts = {
        ORDER_COMMANDS: (orders.decode, orders_core),
        PROMOTION_COMMANDS: (promotions.decode, promotions_core),
        SKU_COMMANDS: (reservations.decode, reservations_core),
    }
    return {
        topic: CommandStage(topic, settings.prefixed(topic), decode, core.decide, core.earliest_deadline_ms)
        for topic, (decode, core) in parts.items()
    }


def _intakes(settings: Settings) -> dict[str, Stage]:
    mappers: Mapping[str, Mapper] = {
        topic: partial(map_message, mapping) for topic, mapping in settings.mappings.items()
    }
    return {**intakes(settings.prefixed, terms_of(settings.config), mappers, INPUTS)}


def _add_agents(worker: Worker, consumed: Sequence[str]) -> None:
    app, engine = worker.app, worker.engine

    async def decide(stream: faust.StreamT[Any]) -> None:
        async for event in stream.events():
            await _guarded(engine.offer, event.message.value)

    async def ask_fluent(stream: faust.StreamT[Any]) -> None:
        async for event in stream.events():
            await _guarded(worker.requests.take, event.message.value)

    for topic in consumed:
        handle = ask_fluent if topic == FLUENT_REQUESTS else decide
        app.agent(_channel(worker, topic), name=topic)(handle)


async def _guarded(handle: Any, fetched: Any) -> None:
    """An exception that left an agent would acknowledge the batch; here it ends the process instead."""
    try:
        await handle(fetched)
    except Exception as error:
        log.exception("a stage failed", source=fetched.source, start=fetched.start)
        die(f"deciding {fetched.source} from offset {fetched.start} failed: {error!r}")


def _channel(worker: Worker, topic: str) -> faust.TopicT:
    return worker.app.topic(
        worker.settings.prefixed(topic),
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
    )
