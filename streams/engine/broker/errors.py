"""How a transaction or a request can end badly, and Kafka's error codes that mean it."""

from __future__ import annotations

from aiokafka.errors import KafkaError, for_code


class Refused(Exception):
    """The group has moved on: our generation or member id is not current any more."""


class Fenced(Exception):
    """Somebody else initialised a producer with our transactional id."""


class Aborted(Exception):
    """The transaction was aborted; nothing of it will ever be visible."""


class OutcomeUnknown(Exception):
    """The broker did not say whether the transaction was committed."""


class Unanswered(Exception):
    """A broker or coordinator did not answer as it should within the time allowed."""


MOVED_ON = frozenset({22, 25, 27, 82, 113})
"""ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID, REBALANCE_IN_PROGRESS, FENCED_INSTANCE_ID, STALE_MEMBER_EPOCH."""

FENCED = frozenset({47, 48, 49, 90})
"""INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE, INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED."""

COORDINATOR_MOVED = frozenset({7, 15, 16})
"""REQUEST_TIMED_OUT, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR: look for it again."""

PASSING = frozenset({1, 3, 5, 6, 8, 9, 13, 14, 19, 20, 51, 56, 60, 74, 75, 88, 100}) | COORDINATOR_MOVED
"""What a broker answers while leaders and coordinators move: the same request is right a moment later.

Among them CONCURRENT_TRANSACTIONS (51, markers are still being written) and UNSTABLE_OFFSET_COMMIT (88, a
transaction with that offset is open).
"""


def described(code: int) -> str:
    """An error code for a person."""
    return f"{for_code(code).__name__} ({code})"


def raise_for(code: int, what: str) -> None:
    """Raise what a code means that does not pass by itself; nothing for 0."""
    if code == 0:
        return
    if code in MOVED_ON:
        raise Refused(f"{what}: {described(code)}")
    if code in FENCED:
        raise Fenced(f"{what}: {described(code)}")
    raise KafkaError(f"{what}: {described(code)}")
