"""What commands send: a producer whose failures are told one by one."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from flashsale.admin.cluster import admin_client, look_at
from flashsale.cli.console import complain
from streams.kafka import check_broker, producer_config
from streams.settings import ConfigurationError, Settings

SHOWN_ERRORS = 20
FLUSH_S = 60.0
QUEUE_FULL_WAIT_S = 0.5

Headers = list[tuple[str, str | bytes | None]]


def require_topic(settings: Settings, topic: str) -> None:
    """A producer would create a missing topic where the broker lets it, with the broker's settings.

    Raises ConfigurationError when no broker answers, or it does not have the topic (a logical name).
    """
    check_broker(settings)
    name = settings.prefixed(topic)
    if not look_at(admin_client(settings), [name]):
        raise ConfigurationError(f"The topic {name} does not exist; create it with `flashsale topics`.")


@dataclass(slots=True)
class Sending:
    """Records on their way; `finish` waits for all of them."""

    settings: Settings
    sent: int = 0
    _failures: list[str] = field(default_factory=list)
    _producer: Producer = field(init=False)

    def __post_init__(self) -> None:
        self._producer = Producer(producer_config(self.settings))

    def send(
        self, what: str, topic: str, value: bytes | None, key: bytes | None, headers: Headers | None = None
    ) -> None:
        """Send a record to a topic (logical name); `what` names it should it fail."""
        done = partial(self._done, what)
        while True:
            try:
                self._producer.produce(
                    self.settings.prefixed(topic), value, key, on_delivery=done, headers=headers or []
                )
            except KafkaException as refused:  # too large for any topic of ours
                self._failures.append(f"{what} was not sent: {refused.args[0].str()}")
                return
            except BufferError:
                self._producer.poll(QUEUE_FULL_WAIT_S)  # our own queue is full: wait for deliveries
            else:
                self._producer.poll(0)
                return

    def finish(self) -> bool:
        """Wait until the broker has everything; whether it has. Failures are told on standard error."""
        left = self._producer.flush(FLUSH_S)
        for failure in self._failures[:SHOWN_ERRORS]:
            complain(failure)
        if len(self._failures) > SHOWN_ERRORS:
            complain(f"… and {len(self._failures) - SHOWN_ERRORS:,} more")
        return not self._failures and left == 0

    def _done(self, what: str, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            self.sent += 1
        else:
            self._failures.append(f"{what} was not sent: {error.str()}")
