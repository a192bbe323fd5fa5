"""The metrics of a worker's gateway to Fluent."""

from __future__ import annotations

from streams.metrics import CounterOf, GaugeOf

OUTSTANDING = GaugeOf(
    "flashsale_fluent_outstanding",
    "Requests of the ledger to Fluent that are queued or in flight.",
    "it does not fall: Fluent is away, or slower than `fluentRequestsPerSecond`",
)
REQUESTS = CounterOf(
    "flashsale_fluent_requests",
    'HTTP requests to Fluent by operation; `result` is "ok" or the name of an error.',
    "results other than `ok` rise: see the log",
    ("operation", "result"),
)
CALLS = CounterOf(
    "flashsale_fluent_calls",
    "Calls to Fluent by operation and result; several share a request.",
    labels=("operation", "result"),
)
ANSWERS = CounterOf(
    "flashsale_fluent_answers",
    "Requests of the ledger by their kind and their answer; `Unanswered` is asked again.",
    "`Unanswered` or an answer that ends in `Failed` rises: see the log",
    ("request", "answer"),
)
RETRIES = CounterOf(
    "flashsale_fluent_retries",
    "Calls and requests that were tried again.",
    "it rises steadily: Fluent is unsteady",
    ("of",),
)
LOGINS = CounterOf(
    "flashsale_fluent_logins",
    "Logins by grant and result.",
    "it rises steadily, or results are not `ok`, but for `refresh_token refused`: Fluent refuses the login",
    ("login",),
    ("password refused", "client_credentials refused"),
)
DROPPED = CounterOf(
    "flashsale_fluent_dropped",
    "Requests of the ledger that were superseded, repeated, or found no room.",
    "`no room` rises: Fluent is slower than the sale; raise `fluentRequestsPerSecond`",
    ("why",),
    ("no room",),
)
BREAKER_OPEN = GaugeOf(
    "flashsale_fluent_breaker_open",
    "1 while the gateway pauses because Fluent keeps failing.",
    "it is 1 for minutes: [Fluent is away](operations.md#fluent-is-down)",
)
RATE_SHARE = GaugeOf(
    "flashsale_fluent_rate_share",
    "Share of `fluentRequestsPerSecond` in use, below 1 after Fluent asked for less.",
    "it stays low: ask Fluent for a higher limit, or lower the setting",
)
DOCUMENT_MISFITS = GaugeOf(
    "flashsale_fluent_document_misfits",
    "Fields of the profile's documents that the account's schema does not have.",
    "it is not 0: `flashsale check` names them",
)
