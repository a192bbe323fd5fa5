"""`flashsale kafka`: the embedded broker as a command."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from types import FrameType

from rehearsal.kafka.broker import EmbeddedKafka
from rehearsal.kafka.config import is_free
from rehearsal.kafka.errors import EmbeddedKafkaError

USUAL_PORT = 9092
CHECK_S = 0.2

SIGNALS = (signal.SIGTERM, signal.SIGINT)

EXIT_STOPPED = 0
EXIT_BROKER_DIED = 1
EXIT_NOT_STARTED = 2


def run_foreground(port: int | None = None, data_dir: Path | None = None) -> int:
    """Run a broker until SIGTERM or SIGINT and return the exit status. Call it from the main thread.

    Prints `KAFKA_BOOTSTRAP_SERVERS=host:port` on standard output when it is ready and nothing else there.
    Without `port` it is `USUAL_PORT`, or a free one where that is taken; 0 is any free one. Without
    `data_dir` the data is removed at the end. Status: 0 stopped by a signal, 1 the broker died, 2 it could
    not be started.
    """
    for signum in SIGNALS:
        signal.signal(signum, _leave)
    kafka = EmbeddedKafka(data_dir, _usual_port() if port is None else port or None)
    try:
        kafka.start()
        print(f"KAFKA_BOOTSTRAP_SERVERS={kafka.bootstrap}", flush=True)
        while kafka.is_running:
            time.sleep(CHECK_S)
    except EmbeddedKafkaError as error:
        print(error, file=sys.stderr)
        return EXIT_NOT_STARTED
    finally:
        kafka.close()
    print(f"The embedded Kafka ended by itself. Its last words are in {kafka.log}.", file=sys.stderr)
    return EXIT_BROKER_DIED


def _usual_port() -> int | None:
    if is_free(USUAL_PORT):
        return USUAL_PORT
    print(f"Port {USUAL_PORT} is taken; the embedded Kafka takes another one.", file=sys.stderr)
    return None


def _leave(signum: int, frame: FrameType | None) -> None:
    # A second signal must not interrupt the broker's orderly end.
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(EXIT_STOPPED)
