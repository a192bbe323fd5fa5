"""Where a worker is put together: settings → stages → engine → Fluent → app → agents → timers.

Read `compose` from top to bottom. It starts nothing and asks no broker; `flashsale.worker.process` checks
what a worker needs, composes it, serves its health, and runs it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from prometheus_client import CollectorRegistry

from agents import intake, orders, promotions, reservations
from agents.broker_time import BrokerTime
from agents.dead_letter_limit import DeadLetterLimit
from agents.fluent_requests import FluentRequests
from agents.intake import Mapper
from agents.timers import Timers
from flashsale.supervisor import SETTLED_S, FailedTakeovers
from flashsale.supervisor.exits import die, stop
from flashsale.worker.collector import clear_away
from flashsale.worker.connection import Connection
from flashsale.worker.metrics import FluentCollector, Metrics
from flashsale.worker.note import NoteWriter
from flashsale.worker.readiness import Readiness
from flashsale.worker.traces import Traces
from flashsale.worker.upkeep import Upkeep
from fluent import FluentOptions, Gateway, ProfileError, RequestQueue, options_from
from schemas.topics import FLUENT_REQUESTS, INPUTS, ORDER_COMMANDS, PROMOTION_COMMANDS, SKU_COMMANDS, STAGES
from streams.app import build, declared_partitions
from streams.engine.engine import Engine, EngineOptions
from streams.engine.host.app import EngineApp
from streams.engine.host.hooks import Hooks, Lease
from streams.engine.sender import Sender
from streams.engine.stage import Stage
from streams.kafka import aiokafka_config, client_config
from streams.ledger.terms import Terms
from streams.log import get_logger
from streams.settings import ConfigurationError, ReservationConfig, Settings
from streams.settings.mapping import map_message
from streams.tracing import tracer_of

log = get_logger("worker")

CONSUMED = (*INPUTS, *STAGES, FLUENT_REQUESTS)

CALL_SHARE_OF_SESSION = 0.5
"""Heartbeats come every sixth of a session, so a fresh lease is never shorter than five sixths of one."""


@dataclass(frozen=True, slots=True)
class Worker:
    """The parts of a worker by which it is run and watched."""

    app: EngineApp
    registry: CollectorRegistry
    readiness: Readiness
    takeovers: FailedTakeovers
    connection: Connection


def compose(settings: Settings, consumed: Sequence[str] = CONSUMED) -> Worker:
    """Build a worker that consumes the topics `consumed`. Raises ConfigurationError."""
    settings.require_fluent()
    client, tasks = client_config(settings), settings.config.partitions
    metrics, traces = Metrics(tasks), Traces(tracer_of(os.environ, "flashsale-worker"))

    options = EngineOptions(
        client, aiokafka_config(settings), settings.topic_prefix, tasks, settings.data_dir
    )
    limit = DeadLetterLimit(settings.config.dead_letter_limit_per_minute)
    engine = Engine(options, _stages(settings, limit), traces.beside(metrics), die)
    session_s = settings.config.kafka_session_timeout_ms / 1_000
    lease = Lease(engine, session_s)
    connection = Connection(lease, session_s)

    sender = Sender(client, settings.prefixed)
    brokers = BrokerTime(sender.to_partition)
    sender.on_appended, sender.on_failed = brokers.on_appended, die

    gateway = _gateway(settings, lease, brokers)
    own, queue = settings.prefixed(FLUENT_REQUESTS), RequestQueue(gateway)
    requests = FluentRequests(own, queue, sender, traces.fluent_answered)
    metrics.registry.register(FluentCollector(gateway.meters))

    readiness = Readiness(engine, lease, gateway.options.call_timeout_s, limit)
    metrics.ask(lambda: readiness.state()[0], lambda: connection.answers, lambda: limit.stopped)
    takeovers = FailedTakeovers(settings.data_dir)

    def on_opened() -> None:
        takeovers.succeeded()
        asyncio.get_running_loop().call_later(SETTLED_S, takeovers.look)
        metrics.restore_seconds.set(engine.opened_in_s)
        readiness.announce()
        clear_away()

    async def on_stopped() -> None:
        await requests.close()
        await engine.close()
        sender.close()
        traces.close()
        log.info("worker_stopped")

    hooks = Hooks(
        die=die,
        stop=stop,
        lease=lease,
        partitions=declared_partitions(settings),
        request_offset=requests.durable_offset,
        beside_request=NoteWriter(engine, brokers, gateway.meters, limit).of,
        suspend_requests=partial(requests.suspend, gateway.options.call_timeout_s),
        on_granted=takeovers.began,
        on_record_failed=takeovers.forget,
        on_opened=on_opened,
        on_stopped=on_stopped,
    )
    app = build(settings, engine, hooks)
    agents = _agents(requests, limit)
    for topic in consumed:
        agents[topic](app)

    timers = Timers(
        sender.to_partition,
        brokers,
        engine.watermark,
        settings.config.max_backlog_ms,
        metrics.watermark_delay.set,
    )
    timers.register(app, min(0.25, settings.config.release_interval_ms / 4_000))
    Upkeep(app, metrics, requests, limit).register()
    return Worker(app, metrics.registry, readiness, takeovers, connection)


def _agents(requests: FluentRequests, limit: DeadLetterLimit) -> dict[str, Callable[[EngineApp], None]]:
    """What registers the agent of each topic."""
    return {
        **{topic: partial(intake.register, topic=topic, limit=limit) for topic in INPUTS},
        ORDER_COMMANDS: orders.register,
        PROMOTION_COMMANDS: promotions.register,
        SKU_COMMANDS: reservations.register,
        FLUENT_REQUESTS: requests.register,
    }


def _stages(settings: Settings, limit: DeadLetterLimit) -> dict[str, Stage]:
    """What decides the records of each topic that tasks read."""
    commands = {
        stage.topic: stage
        for stage in (agent.stage(settings.prefixed) for agent in (orders, promotions, reservations))
    }
    mappers: Mapping[str, Mapper] = {
        topic: partial(map_message, mapping) for topic, mapping in settings.mappings.items()
    }
    terms, tasks = _terms(settings.config), settings.config.partitions
    return {**commands, **intake.stages(settings.prefixed, terms, mappers, commands, tasks, limit)}


def _terms(config: ReservationConfig) -> Terms:
    """The settings that decisions depend on, recorded with each event, in milliseconds."""
    return Terms(
        default_duration_ms=config.default_duration_ms,
        claim_grace_ms=config.claim_grace_ms,
        expiry_grace_ms=config.expiry_grace_ms,
        hold_timeout_ms=config.hold_timeout_ms,
        close_timeout_ms=config.close_timeout_ms,
        retention_ms=config.claim_retention_ms,
        report_interval_ms=config.reconciliation_interval_ms,
        settle_delay_ms=config.settle_delay_ms,
        settle_interval_ms=config.settle_interval_ms,
        verify_ms=config.fluent_verify_ms,
        ask_again_ms=config.fluent_ask_again_ms,
        auto_release=config.auto_release_enabled,
        max_backlog_ms=config.max_backlog_ms,
        all_or_nothing=config.order_policy == "all-or-nothing",
        book_sale=config.settlement == "sale",
    )


def _gateway(settings: Settings, lease: Lease, brokers: BrokerTime) -> Gateway:
    try:
        gateway = Gateway(_fluent_options(settings), lease_expires_at=lease.expires_at, now_ms=brokers.now_ms)
    except ProfileError as error:
        raise ConfigurationError(f"The Fluent profile is not usable: {error}.") from None
    if settings.config.settlement == "sale" and not gateway.profile.books_sales:
        profile = settings.config.fluent_profile
        raise ConfigurationError(f'settlement is "sale", but the profile {profile} cannot book sales.')
    return gateway


def _fluent_options(settings: Settings) -> FluentOptions:
    """A call must end well before the broker may give our partitions away, or no lease would cover it."""
    options = options_from(settings.fluent, settings.config)
    session_s = settings.config.kafka_session_timeout_ms / 1000
    within_s = min(options.call_timeout_s, CALL_SHARE_OF_SESSION * session_s)
    return replace(
        options, call_timeout_s=within_s, connect_timeout_s=min(options.connect_timeout_s, within_s)
    )
