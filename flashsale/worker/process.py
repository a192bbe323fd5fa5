"""The worker process itself: checks what it needs, runs Faust, stops in bounded time."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Sequence
from typing import Any, NoReturn

import faust
from aiokafka.errors import KafkaConnectionError

from flashsale.admin import require_topics
from flashsale.supervisor.exits import NO_BROKER, STOP_TOO_SLOW
from flashsale.worker.collector import calm
from flashsale.worker.compose import CONSUMED, compose
from flashsale.worker.health import serve
from flashsale.worker.outside import wait_outside
from flashsale.worker.upkeep import watch
from streams.kafka import check_broker
from streams.log import configure, get_logger
from streams.settings import Settings

log = get_logger("worker")

STOP_WITHIN_S = 15.0
NOTHING_LOST = (
    "none: what was not committed is decided again; when it repeats, see whether the brokers answer"
)
NO_BROKER_NOW = (
    "none while brokers restart: the supervisor starts it again; see `flashsale check` if it goes on"
)


class QuietWorker(faust.Worker):
    """Faust's worker without its spinner, its banner and its logging set-up."""

    def __init__(self, app: faust.App) -> None:
        super().__init__(
            app,
            quiet=True,
            loglevel="WARN",
            override_logging=False,
            redirect_stdouts=False,
            stdout=sys.stderr,
            stderr=sys.stderr,
        )
        self.spinner = None

    async def start(self) -> None:
        """Start everything. A broker that went away since it was checked ends the process: an outage."""
        try:
            await super().start()
        except KafkaConnectionError as error:
            log.error("no_broker", why=str(error), recommendation=NO_BROKER_NOW)
            os._exit(NO_BROKER)

    async def on_execute(self) -> None:
        """Nothing is printed and no process title is set."""

    def _on_sigterm(self) -> None:
        _bound_the_stop()
        super()._on_sigterm()

    def _on_sigint(self) -> None:
        _bound_the_stop()
        super()._on_sigint()


def run(
    settings: Settings,
    health_port: int | None,
    consumed: Sequence[str] = CONSUMED,
    *,
    health_host: str = "127.0.0.1",
) -> NoReturn:
    """Run one worker that consumes the topics `consumed`, until SIGTERM.

    Raises ConfigurationError before anything is started.
    """
    configure()
    logging.getLogger("streams.engine.host").setLevel(logging.WARNING)  # Faust's services log under it
    check_broker(settings)
    for finding in require_topics(settings):
        log.warning("topic", topic=finding.topic, problem=finding.problem, recommendation=finding.remedy)
    for notice in settings.notices:
        log.warning("configuration", notice=notice)
    worker = compose(settings, consumed)
    if health_port is not None:
        address = serve(health_host, health_port, worker.registry, _alive, worker.readiness.state)
        log.info("health", url=f"{address}/readyz")
    wait_outside(settings.data_dir, worker.takeovers, worker.readiness)
    watch(worker.app, worker.connection)
    calm()
    QuietWorker(worker.app).execute_from_commandline()


def _alive() -> tuple[bool, str]:
    return True, "alive"


def _bound_the_stop() -> None:
    """A stop that hangs (a broker that is gone) must end: what is uncommitted is decided again anyway."""

    def end(*_: Any) -> None:
        log.warning("stop_took_too_long", seconds=STOP_WITHIN_S, recommendation=NOTHING_LOST)
        os._exit(STOP_TOO_SLOW)

    timer = threading.Timer(STOP_WITHIN_S, end)
    timer.daemon = True
    timer.start()
