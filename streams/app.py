"""The Faust app that a worker runs: Faust as a host. What it does not do itself is switched off here."""

from __future__ import annotations

from schemas.topics import FLUENT_REQUESTS, MAX_MESSAGE_BYTES, STAGES, TASK_CHANGELOG
from streams.engine.engine import Engine
from streams.engine.host.app import EngineApp
from streams.engine.host.assignor import TaskAssignor
from streams.engine.host.consumer import Transport
from streams.engine.host.hooks import Hooks
from streams.engine.host.tables import EngineTable, EngineTableManager
from streams.kafka import faust_broker, ssl_context
from streams.settings import Settings

MAX_POLL_RECORDS = 4_000
TABLE = "tasks"
"""Faust names a changelog `<app id>-<table>-changelog`: with this name it is TASK_CHANGELOG."""


def declared_partitions(settings: Settings) -> dict[str, int]:
    """How many partitions each topic of our own has, by its name on the wire."""
    own = (*STAGES, FLUENT_REQUESTS, TASK_CHANGELOG)
    return dict.fromkeys(map(settings.prefixed, own), settings.config.partitions)


def build(settings: Settings, engine: Engine, hooks: Hooks) -> EngineApp:
    """An app that hosts `engine`; agents and timers are added by the caller."""
    url, credentials = faust_broker(settings)
    partitions = settings.config.partitions
    session_s = settings.config.kafka_session_timeout_ms / 1000
    app = EngineApp(
        settings.prefixed("flashsale"),
        engine,
        hooks,
        broker=url,
        broker_credentials=credentials,
        ssl_context=ssl_context(settings),
        store="memory://",
        datadir=str(settings.data_dir / "faust"),
        Table=EngineTable,
        TableManager=EngineTableManager,
        PartitionAssignor=TaskAssignor,
        topic_partitions=partitions,
        topic_allow_declare=False,  # topics are created by `flashsale topics`, from one table
        topic_disable_leader=True,
        web_enabled=False,
        processing_guarantee="at_least_once",  # Faust's exactly_once loses and duplicates
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=MAX_MESSAGE_BYTES,
        consumer_metadata_max_age_ms=30_000,  # partitions that an input topic gained are noticed so soon
        broker_session_timeout=session_s,
        broker_heartbeat_interval=session_s / 6,
        broker_rebalance_timeout=max(15.0, session_s * 2),
        broker_request_timeout=max(40.0, session_s * 2),
        broker_commit_interval=0.5,
        broker_commit_livelock_soft_timeout=3_600,
        broker_max_poll_records=MAX_POLL_RECORDS,
        broker_check_crcs=False,
        stream_wait_empty=True,
        stream_recovery_delay=0.0,
        stream_buffer_maxsize=4_096,
        stream_processing_timeout=3_600,
        recovery_consistency_check=False,
        table_standby_replicas=0,
        worker_redirect_stdouts=False,
    )
    app.transport = Transport(app.conf.broker_consumer, app)
    app.Table(TABLE, partitions=partitions)
    return app
